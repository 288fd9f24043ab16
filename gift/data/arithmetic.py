"""Procedural grade-school word problems with GSM8K-style answers (reasoning lines, then `#### n`).

`make_word_problems` gives three lists: noisy demonstrations to fine-tune on (`sft`), prompts with correct answers
for reinforcement learning (`train`) and problems to evaluate on (`heldout`). The demonstrations come from
careless annotators: some stop before the last step, some miscount, swap an operation or misread a digit,
and a wrong number propagates to the steps after it.

Held-out problems share no question and no multiset of numbers with the other splits, for any seed: a hash
of the sorted numbers, and nothing else, decides on which side a problem falls.

Deliberately left out: large numbers (every fact is one of the tables a child learns, so that a small model
can learn it in a minute), fractions, units, distractor sentences, and anything beyond the standard library.
"""

import math
import random
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

NAMES = ("Tom", "Anna", "Ben", "Lucy", "Sam", "Maria", "Omar", "Ella", "Jack", "Nina", "Paul", "Rosa")
ITEMS = ("pens", "apples", "books", "cards", "coins", "eggs", "shells", "stamps", "stickers", "toys")

HELDOUT_BUCKETS, BUCKETS = 1, 5  # one number multiset in five is held out
MAX_CONSECUTIVE_REJECTIONS = 5_000  # far beyond chance: the space of problems is used up
SLIP_WEIGHTS = {"counting": 0.8, "operation": 0.1, "digit": 0.1}
SWAPPED_OPERATION = {"+": "-", "-": "+", "*": "+", "/": "-"}

_EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


@dataclass(frozen=True)
class WordProblem:
    """One word problem; `answer` is a demonstration and may be wrong (in `sft`), `final_answer` never is."""

    id: str
    question: str
    answer: str
    final_answer: str
    numbers: tuple[int, ...]
    template: str


@dataclass(frozen=True)
class Step:
    """One line of reasoning; operands name a number of the question (a-d) or an earlier result (x, y)."""

    left: str
    operation: str
    right: str
    sentence: str


@dataclass(frozen=True)
class Template:
    """A family of problems: its wording, the range of each number and the steps of its solution."""

    name: str
    question: str
    ranges: tuple[range, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Equation:
    """One worked step as it is written down, right or wrong."""

    left: int
    operation: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left}{self.operation}{self.right}={self.result}"


# Every solution ends with a product: two miscounted steps could otherwise cancel out and earn the reward.
TEMPLATES = (
    Template(
        "daily_sales",
        "Every day {name} sells {a} {items} in the morning and {b} in the evening. "
        "How many {items} is that in {c} days?",
        (range(2, 8), range(2, 8), range(3, 10)),
        (
            Step("a", "+", "b", "Each day it is {equation} {items}."),
            Step("x", "*", "c", "In all days it is {equation} {items}."),
        ),
    ),
    Template(
        "two_colours",
        "{name} buys {a} red and {b} blue {items} for {c} dollars each. How much does {name} pay?",
        (range(2, 8), range(2, 8), range(3, 10)),
        (
            Step("a", "+", "b", "There are {equation} {items}."),
            Step("x", "*", "c", "They cost {equation} dollars."),
        ),
    ),
    Template(
        "price_after_discount",
        "A game costs {a} dollars, but today it is {b} dollars cheaper. {name} buys {c} games. "
        "How much does {name} pay?",
        (range(5, 15), range(2, 8), range(3, 10)),
        (
            Step("a", "-", "b", "Each game costs {equation} dollars."),
            Step("x", "*", "c", "They cost {equation} dollars."),
        ),
    ),
    Template(
        "sold_rest",
        "{name} has {a} {items}, loses {b} and sells the rest for {c} dollars each. How much does {name} get?",
        (range(5, 15), range(2, 8), range(3, 10)),
        (
            Step("a", "-", "b", "There are {equation} {items} left."),
            Step("x", "*", "c", "They bring {equation} dollars."),
        ),
    ),
    Template(
        "packed_boxes",
        "{name} packs {a} {items} into boxes of {b} and sells each box for {c} dollars. How much does {name} get?",
        (range(12, 73, 12), range(2, 7), range(3, 10)),
        (
            Step("a", "/", "b", "There are {equation} boxes."),
            Step("x", "*", "c", "They bring {equation} dollars."),
        ),
    ),
    Template(
        "team_points",
        "In each round {name} wins {a} points, then {b} more, and loses {c}. "
        "How many points does {name} have after {d} rounds?",
        (range(2, 8), range(2, 8), range(2, 8), range(3, 10)),
        (
            Step("a", "+", "b", "The wins are {equation} points."),
            Step("x", "-", "c", "Each round gives {equation} points."),
            Step("y", "*", "d", "The rounds give {equation} points."),
        ),
    ),
)
_TEMPLATE_BY_NAME = {template.name: template for template in TEMPLATES}


def make_word_problems(
    seed: int,
    sft: int,
    train: int,
    heldout: int,
    slip_rate: float,
    early_stop_rate: float,
    max_checks: int = 0,
    thorough_rate: float | None = None,
) -> dict[str, list[WordProblem]]:
    """Make the three splits; the rates are shares of `sft` and independent of each other.

    With `max_checks`, annotators write each equation again up to so many times, a different number for every line, so
    that correct and wrong demonstrations of one problem differ in length; with `thorough_rate`, that share of them
    writes every equation again so many times and the others none, so that lengths differ as much as they can.
    """
    rates = {"slip_rate": slip_rate, "early_stop_rate": early_stop_rate, "thorough_rate": thorough_rate or 0.0}
    for label, rate in rates.items():
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"{label} must lie in [0, 1], got {rate}")
    # One stream per split, so that changing one count leaves the other splits as they are.
    streams = {split: random.Random(f"{seed}/{split}") for split in ("sft", "train", "heldout")}
    taken: set[str] = set()
    splits = {
        "train": _make_problems(streams["train"], "train", train, taken),
        "heldout": _make_problems(streams["heldout"], "heldout", heldout, set()),
    }
    careful = _make_problems(streams["sft"], "sft", sft, taken)
    annotated = [_annotate_carelessly(streams["sft"], p, slip_rate, early_stop_rate) for p in careful]
    checks = random.Random(f"{seed}/checks")
    splits["sft"] = [_check_lines(checks, p, max_checks, thorough_rate) for p in annotated] if max_checks else annotated
    return splits


def solve(problem: WordProblem) -> list[Equation]:
    """The correct steps of a problem."""
    return _work_out(_TEMPLATE_BY_NAME[problem.template].steps, problem.numbers)


def is_heldout(numbers: Iterable[int]) -> bool:
    """Whether problems with these numbers, in any order and template, belong to the held-out split."""
    key = ",".join(str(number) for number in sorted(numbers))
    return zlib.crc32(key.encode()) % BUCKETS < HELDOUT_BUCKETS


def _make_problems(rng: random.Random, split: str, count: int, taken: set[str]) -> list[WordProblem]:
    """Draw `count` correct problems whose questions are not in `taken`, and add them to it."""
    if count < 0:
        raise ValueError(f"{split}: the number of problems must not be negative, got {count}")
    # An upper bound, so that a hopeless request fails at once.
    capacity = len(NAMES) * len(ITEMS) * sum(math.prod(map(len, t.ranges)) for t in TEMPLATES)
    if count + len(taken) > capacity:
        raise ValueError(f"{split}: {count} problems requested, at most {capacity - len(taken)} exist")
    problems: list[WordProblem] = []
    rejections = 0
    while len(problems) < count:
        template = rng.choice(TEMPLATES)
        numbers = tuple(rng.choice(values) for values in template.ranges)
        problem = None
        if is_heldout(numbers) == (split == "heldout") and _is_well_posed(template.steps, numbers):
            problem = _render_problem(rng, f"{split}-{len(problems):06d}", template, numbers)
        if problem is None or problem.question in taken:
            rejections += 1
            if rejections > MAX_CONSECUTIVE_REJECTIONS:
                raise ValueError(f"{split}: only {len(problems)} of {count} requested problems exist")
            continue
        rejections = 0
        taken.add(problem.question)
        problems.append(problem)
    return problems


def _render_problem(rng: random.Random, identifier: str, template: Template, numbers: tuple[int, ...]) -> WordProblem:
    words = {"name": rng.choice(NAMES), "items": rng.choice(ITEMS)}
    equations = _work_out(template.steps, numbers)
    return WordProblem(
        id=identifier,
        question=template.question.format(**words, **_operands(numbers)),
        answer=_render_answer(template, words, numbers, equations),
        final_answer=str(equations[-1].result),
        numbers=numbers,
        template=template.name,
    )


def _render_answer(
    template: Template, words: dict[str, str], numbers: tuple[int, ...], equations: Sequence[Equation]
) -> str:
    lines = [
        step.sentence.format(equation=equation, **words, **_operands(numbers))
        for step, equation in zip(template.steps, equations, strict=False)
    ]
    return "\n".join([*lines, f"#### {equations[-1].result}"])


def _annotate_carelessly(
    rng: random.Random, problem: WordProblem, slip_rate: float, early_stop_rate: float
) -> WordProblem:
    """Replace the correct answer by what a careless annotator writes."""
    slips, stops_early = rng.random() < slip_rate, rng.random() < early_stop_rate
    template = _TEMPLATE_BY_NAME[problem.template]
    length = rng.randrange(1, len(template.steps)) if stops_early else len(template.steps)
    steps = template.steps[:length]
    equations = _work_out_with_slip(rng, steps, problem.numbers) if slips else solve(problem)[:length]
    # Editing the equations of the correct answer keeps its name and items without storing them.
    lines = problem.answer.split("\n")[:length]
    lines = [_EQUATION.sub(str(equation), line) for line, equation in zip(lines, equations, strict=True)]
    answer = "\n".join([*lines, f"#### {equations[-1].result}"])
    return replace(problem, answer=answer)


def _check_lines(rng: random.Random, problem: WordProblem, max_checks: int, thorough_rate: float | None) -> WordProblem:
    """Repeat the equation of each line 0 to `max_checks` times behind it, or of all lines one of the two."""
    *lines, result = problem.answer.split("\n")
    equations = [match.group() for line in lines if (match := _EQUATION.search(line))]
    if thorough_rate is None:
        checks = [rng.randint(0, max_checks) for _ in lines]
    else:
        checks = [max_checks if rng.random() < thorough_rate else 0] * len(lines)
    checked = [
        line + f" Check: {equation}." * count for line, equation, count in zip(lines, equations, checks, strict=True)
    ]
    return replace(problem, answer="\n".join([*checked, result]))


def _work_out_with_slip(rng: random.Random, steps: Sequence[Step], numbers: tuple[int, ...]) -> list[Equation]:
    """Work out the steps with a slip of a random kind, or a wrong last digit where that kind cannot show."""
    correct = _work_out(steps, numbers)
    kind = rng.choices(list(SLIP_WEIGHTS), list(SLIP_WEIGHTS.values()))[0]
    index = rng.randrange(len(steps))
    if kind == "counting":
        attempt = _work_out(steps, numbers, miscounts=True)
    elif kind == "operation":
        attempt = _work_out(steps, numbers, swapped_step=index)
    else:
        attempt = _work_out(steps, numbers, misread_step=index, offset=rng.choice((-10, -2, 2, 10)))
    # A slip must show, and must not lead to negative numbers.
    if attempt != correct and all(equation.result >= 0 for equation in attempt):
        return attempt
    return _work_out(steps, numbers, misread_step=len(steps) - 1, offset=rng.choice((1, 2)))


def _work_out(
    steps: Sequence[Step],
    numbers: tuple[int, ...],
    *,
    miscounts: bool = False,
    swapped_step: int | None = None,
    misread_step: int | None = None,
    offset: int = 0,
) -> list[Equation]:
    values = _operands(numbers)
    equations = []
    for index, (step, name) in enumerate(zip(steps, "xyz", strict=False)):
        left, right = values[step.left], values[step.right]
        operation = SWAPPED_OPERATION[step.operation] if index == swapped_step else step.operation
        result = (miscalculate if miscounts else calculate)(left, operation, right)
        result += offset if index == misread_step else 0
        values[name] = result
        equations.append(Equation(left, operation, right, result))
    return equations


def calculate(left: int, operation: str, right: int) -> int:
    """The correct result of one step."""
    match operation:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left // right
    raise ValueError(f"unknown operation {operation!r}")


def miscalculate(left: int, operation: str, right: int) -> int:
    """The result of one step by someone who counts the starting number as the first one."""
    return calculate(left, operation, right if operation == "/" else right - 1)


def _is_well_posed(steps: Sequence[Step], numbers: tuple[int, ...]) -> bool:
    """Whether results are whole numbers of at least 2 and products stay in the tables up to 12."""
    equations = _work_out(steps, numbers)
    divisible = all(e.left % e.right == 0 for e in equations if e.operation == "/" and e.right)
    in_tables = all(e.left <= 12 for e in equations if e.operation == "*")
    return divisible and in_tables and all(e.result >= 2 for e in equations)


def _operands(numbers: tuple[int, ...]) -> dict[str, int]:
    return dict(zip("abcd", numbers, strict=False))
