"""How fast answers are judged: `python benchmarks/judge.py [--workers N] [--responses B]`.

Prints judgments per second by a pool that has just started (cold) and one that has judged before (warm), for answers
that all differ and all need the parser, and for a batch whose groups agree. The median of five batches each; one thread
per worker. Then what each class of tests/support/answer_pairs.py costs, alone and warm, in processor time.

Left out: reward models and own functions, whose time is their own.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from answer_pairs import DIFFERENT, EQUAL

from gift.config import AnswerFormat
from gift.judge.equality import equal
from gift.judge.judge import Judge, open_judge
from gift.judge.reading import read

BATCHES = 5
FORMATS: tuple[AnswerFormat, ...] = ("boxed",)
FORMS = (r"\frac{{{n}}}{{2}}", r"{n}\sqrt{{2}}", "({n},{n}+1)", "x^2+{n}x+1", r"{n}\text{{ cm}}", "{n}.5", "{n}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--responses", type=int, default=256)
    arguments = parser.parse_args()
    print(f"batches of {arguments.responses} responses, {arguments.workers} worker(s)")
    with open_judge(arguments.workers, 5.0) as judge:
        cold = _seconds(judge, _batch(arguments.responses, first=0, distinct=1))
        fresh = [
            _seconds(judge, _batch(arguments.responses, first=1000 * k, distinct=1)) for k in range(1, BATCHES + 1)
        ]
        agreeing = [
            _seconds(judge, _batch(arguments.responses, first=1000 * k, distinct=8)) for k in range(11, BATCHES + 11)
        ]
    for name, seconds in (
        ("cold", cold),
        ("warm", statistics.median(fresh)),
        ("groups of 8", statistics.median(agreeing)),
    ):
        rate = arguments.responses / seconds
        print(f"{name:12} {seconds:7.2f} s  {rate:8.0f} judgments/s  {rate / arguments.workers:8.0f} per worker")
    print()
    for table in (EQUAL, DIFFERENT):
        for kind, pairs in table.items():
            milliseconds = [1000 * _processor_seconds(*pair) for pair in pairs]
            print(f"{kind:50} median {statistics.median(milliseconds):6.1f} ms, most {max(milliseconds):6.1f} ms")


def _batch(size: int, first: int, distinct: int) -> list[tuple[str, str]]:
    """Responses that need mathematics, none twice, or in groups of `distinct` that answer the same."""
    pairs = []
    for index in range(size):
        number = first + index // distinct
        reference = FORMS[number % len(FORMS)].format(n=number)
        pairs.append((rf"so $\boxed{{{reference} + 0}}$", reference))
    return pairs


def _seconds(judge: Judge, batch: list[tuple[str, str]]) -> float:
    started = time.perf_counter()
    judge.verdicts(batch, FORMATS)
    return time.perf_counter() - started


def _processor_seconds(answer: str, reference: str) -> float:
    equal(answer, reference)
    read.cache_clear()
    started = time.process_time()
    equal(answer, reference)
    return time.process_time() - started


if __name__ == "__main__":
    main()
