"""`gift bench`: how fast this trainer's update step is beside TRL's, and whether it became slower."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gift.preflight.inputs import check_folder
from pipelines.cli.session import console, echo_lines, escape, one_line_errors

app = typer.Typer(help="Measure an update step beside TRL's.", no_args_is_help=True)


@app.command()
def step(
    case: Annotated[list[str], typer.Option(help="A case, or several with *, e.g. '12m-p128-*'; may be repeated.")],
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, after one that warms up.")] = 5,
    stock: Annotated[
        bool, typer.Option("--stock", help="Measure TRL once more, as it is on a CPU: prompts through the head, too.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Begin each step with sampling as many responses.")] = False,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where both sides compute.")] = "cpu",
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Number format of forward and backward pass.")
    ] = "fp32",
    output: Annotated[
        Path, typer.Option(help="Where the results go, with a table beside it (.md); other cases in it stay.")
    ] = Path("benchmarks/results/step.json"),
) -> None:
    """Take one update step of this trainer and of TRL's by turns, on the same weights, tokens and rewards."""
    with one_line_errors("interrupted; the cases before this one are kept"):
        from gift.bench.cases import find_cases
        from gift.bench.measure import measure_step, require_trl
        from gift.bench.results import floor_in_words, keep_measurement, load_measurements, markdown

        cases = tuple(one.measured_on(device, precision) for one in find_cases(case))
        cases = tuple(one.with_sampling() if whole else one for one in cases)
        require_trl()
        check_folder(output.parent, "--output")  # refused before it costs minutes, as what is no file of results
        if output.exists():
            load_measurements(output)
        for one in cases:
            found = measure_step(
                one, repeats, stock=stock, tell=lambda line: console.print(escape(line), soft_wrap=True)
            )
            kept = keep_measurement(found, output)
            console.print(escape(floor_in_words(found)), soft_wrap=True)
        echo_lines(markdown(kept))


@app.command("compare")
def compare_command(
    old: Annotated[Path, typer.Argument(help="Results of `gift bench step`.")],
    new: Annotated[Path, typer.Argument(help="Later ones.")],
    tolerance: Annotated[float, typer.Option(min=0, help="By how much a case may be slower.")] = 0.15,
) -> None:
    """Compare our time as a share of TRL's, case by case; exit status 1 where one is slower by more than is allowed."""
    with one_line_errors("interrupted"):
        from gift.bench.compare import compare_measurements
        from gift.bench.results import load_measurements

        verdicts = compare_measurements(load_measurements(old), load_measurements(new), tolerance)
        for verdict in verdicts:
            echo_lines(verdict.line)
    raise typer.Exit(1 if any(verdict.slower for verdict in verdicts) else 0)
