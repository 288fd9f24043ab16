"""The comparison as tables: one for the terminal, and a Markdown page for a README or a folder of results.

Left out: curves, which are in `comparison.html`.
"""

from collections.abc import Sequence
from itertools import pairwise

from rich.table import Table
from rich.text import Text

from gift.errors import printable
from gift.report.comparison import wording
from gift.report.comparison.plan import rate_text
from gift.report.comparison.schema import Comparison
from gift.report.table import markdown_rows
from gift.report.wording import benchmark_label, percent, signed

START_LABEL = "SFT (start)"


def comparison_table(comparison: Comparison) -> Table:
    """Variants as rows; accuracy in percent, and the difference to the baseline in points, with 95 % intervals."""
    header, *rows = ([printable(cell) for cell in row] for row in results_rows(comparison))
    table = Table(title=Text(printable(results_title(comparison))), title_style="", header_style="bold")
    for column, text in enumerate(header):
        table.add_column(Text(text), justify="left" if column == 0 else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def markdown_page(comparison: Comparison) -> str:
    """Title, question, headline and all tables in GitHub Markdown, ending in a newline."""
    plan = comparison.plan
    parts = [
        f"# {plan.title}",
        plan.question,
        f"**{wording.headline(comparison)}.**",
        f"{results_title(comparison)}. Seeds: {', '.join(map(str, plan.seeds))}. {NOTES}",
        markdown_rows(results_rows(comparison)),
    ]
    if any(result.metrics for result in comparison.variants.values()):
        parts += ["## Training", TRAINING_NOTE, markdown_rows(training_rows(comparison))]
    if course := course_rows(comparison):
        parts += ["## Along the way", COURSE_NOTE, markdown_rows(course)]
    if length := length_rows(comparison):
        parts += ["## Length", LENGTH_NOTE, markdown_rows(length)]
    if plan.tuning_seed is not None:
        parts += ["## Learning rates", tuning_note(comparison), markdown_rows(grid_rows(comparison))]
    parts += [
        "## Every seed",
        markdown_rows(seed_rows(comparison)),
        "## How the variants differ",
        settings_list(comparison),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


NOTES = (
    "Intervals are Student's t over seeds, not corrected for the number of comparisons; differences are taken seed by "
    "seed."
)
TRAINING_NOTE = (
    "Means over the last tenth of the training ± half of the 95 % interval over seeds; time (the steps only) and "
    "tokens are medians."
)

COURSE_NOTE = (
    "Looks at held-out problems during the training, in percent, mean over seeds. The best of several looks is luck in "
    "part, all the more as each sees few problems: it tells when a variant turned, not how good it was. What is "
    "right is said by the variant's own rewards."
)

LENGTH_NOTE = (
    "Of the answers to the benchmark that heads the results, in tokens; accuracies in percent, means over seeds. "
    "Longer − shorter: of two answers to the same problem. At equal length: as if the answers had been sampled to be "
    "as long as those that they are compared with. The last columns: accuracy of answers of such lengths, which part "
    "all answers of the experiment into fifths; harder problems may have longer answers."
)


def tuning_note(comparison: Comparison) -> str:
    """How the learning rates were chosen, and what that does to the numbers."""
    plan = comparison.plan
    chosen = (
        f"The rate with the highest accuracy ({benchmark_label(plan.benchmark)}) of seed {plan.tuning_seed} was used"
    )
    optimism = (
        f" with all seeds; seed {plan.tuning_seed} itself is therefore a little too good, for every variant alike."
        if plan.tuning_seed in plan.seeds
        else " with all seeds, none of which it was chosen on."
    )
    return f"{chosen}{optimism} An asterisk marks the end of a grid: a better rate may lie beyond it."


def results_rows(comparison: Comparison) -> list[list[str]]:
    """Header, the SFT model, and one row per variant."""
    labels, benchmarks = wording.variant_labels(comparison), comparison.benchmarks
    baseline = labels[comparison.plan.baseline]
    header = ["", "Learning rate", *map(benchmark_label, benchmarks), f"− {baseline}, points", "Training time"]
    rows = [header, [START_LABEL, "–", *(wording.share_text(comparison.start[task]) for task in benchmarks), "–", "–"]]
    for name, result in comparison.variants.items():
        rows.append(
            [
                labels[name],
                wording.rate_with_edge(result),
                *(wording.share_text(result.scores[task]) for task in benchmarks),
                wording.difference_text(result.differences.get(comparison.plan.benchmark)),
                wording.time_text(result),
            ]
        )
    return rows


def training_rows(comparison: Comparison) -> list[list[str]]:
    """Header and one row per variant: training metrics, budget and time."""
    labels = wording.variant_labels(comparison)
    metrics = [name for name in comparison.plan.metrics if _logged(comparison, name)]
    rows = [["", *map(wording.metric_label, metrics), "Responses", "Tokens", "Training time"]]
    for variant in comparison.plan.variants:
        result = comparison.variants[variant.name]
        cells = [wording.number_text(result.metrics.get(name)) for name in metrics]
        budget = [f"{variant.responses:,}", wording.tokens_text(result), wording.time_text(result)]
        rows.append([labels[variant.name], *cells, *budget])
    return rows


def course_rows(comparison: Comparison) -> list[list[str]]:
    """Header and one row per variant: the best look at held-out problems and the last; nothing where nobody looked."""
    labels, rows = wording.variant_labels(comparison), []
    for name, result in comparison.variants.items():
        looks = [(mean, step) for step, mean, *_ in result.curves.get("heldout_accuracy", ()) if mean is not None]
        if not looks:
            continue
        best, step = max(looks, key=lambda look: look[0])
        first, last = looks[0][0], looks[-1][0]
        rows.append([labels[name], percent(first), percent(best), f"{step}", percent(last), signed(last - best)])
    return [["", "First look", "Best", "in step", "Last", "Last − best, points"], *rows] if rows else []


def length_rows(comparison: Comparison) -> list[list[str]]:
    """Header, the SFT model and one row per variant; nothing where the answers were not read."""
    lengths, labels = comparison.lengths, wording.variant_labels(comparison)
    if lengths is None:
        return []
    baseline = labels[comparison.plan.baseline]
    header = ["", "Tokens", "Longer − shorter, points", f"− {baseline} at equal length, points"]
    models = {START_LABEL: lengths.start} | {labels[name]: result for name, result in lengths.variants.items()}
    return [
        [*header, *_parts_of(lengths.ends)],
        *(
            [
                label,
                wording.number_text(result.tokens),
                wording.difference_text(result.longer),
                wording.difference_text(result.matched),
                *("–" if part.mean is None else percent(part.mean) for part in result.accuracies),
            ]
            for label, result in models.items()
        ),
    ]


def _parts_of(ends: Sequence[int]) -> list[str]:
    """`to 25`, `26 to 60`, `61`, `from 62`."""
    if not ends:
        return ["all"]
    between = [f"{low + 1} to {high}" if high > low + 1 else f"{high}" for low, high in pairwise(ends)]
    return [f"to {ends[0]}", *between, f"from {ends[-1] + 1}"]


def grid_rows(comparison: Comparison) -> list[list[str]]:
    """Header and one row per variant and rate that was tried; the chosen one says so."""
    labels, benchmarks = wording.variant_labels(comparison), comparison.benchmarks
    rows = [["", "Learning rate", *map(benchmark_label, benchmarks), ""]]
    for name, result in comparison.variants.items():
        for point in result.grid:
            chosen = point.learning_rate == result.learning_rate
            mark = f"chosen{' *' if result.best_at_edge else ''}" if chosen else ""
            scores = [percent(point.scores[task]) for task in benchmarks]
            rows.append([labels[name], rate_text(point.learning_rate), *scores, mark])
    return rows


def seed_rows(comparison: Comparison) -> list[list[str]]:
    """Header and one row per variant: its accuracy on the heading benchmark with every seed."""
    task, labels = comparison.plan.benchmark, wording.variant_labels(comparison)
    scores = {START_LABEL: comparison.start[task]}
    scores |= {labels[name]: result.scores[task] for name, result in comparison.variants.items()}
    header = [benchmark_label(task), *(f"seed {seed}" for seed in comparison.plan.seeds)]
    return [
        header,
        *(
            [label, *("–" if value is None else percent(value) for value in estimate.values)]
            for label, estimate in scores.items()
        ),
    ]


def settings_list(comparison: Comparison) -> str:
    """What every variant sets, as a Markdown list."""
    plan = comparison.plan
    shared = f"- all: {_code(plan.shared_settings)}\n" if plan.shared_settings else ""
    return shared + "".join(f"- {variant.label}: {_code(variant.settings)}\n" for variant in plan.variants)


def _code(settings: Sequence[str]) -> str:
    return ", ".join(f"`{setting}`" for setting in settings) or "as the profile has it"


def results_title(comparison: Comparison) -> str:
    """What the cells of the results are."""
    seeds = len(comparison.plan.seeds)
    return "Accuracy in percent" + (
        f", mean of {seeds} seeds ± half of its 95 % interval" if seeds > 1 else ", one seed"
    )


def _logged(comparison: Comparison, metric: str) -> bool:
    return any(metric in result.metrics for result in comparison.variants.values())
