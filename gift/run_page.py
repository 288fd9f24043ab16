"""What KFP's page of a run shows of a stage beside its URI: where a model or data is, scores, the report.

A typed artifact of KFP is a small file and a dictionary; a component hands over the path of the one and puts what is
returned here into the other. The address of our own folder is therefore in both, and not the artifact's URI: KFP's
launcher (2.17, `KeyFromURI`) fails a task whose artifact is elsewhere than below KFP's own pipeline root.

No fault here fails a task, as its stage is done by then: the page has less on it, and the log a warning. Left out:
passing anything on; between the stages travel URIs, as parameters.
May import `execution`, `evaluation`, `report` and `errors`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from gift.errors import GiftError
from gift.evaluation.results import RESULTS_FILE, load_results
from gift.execution.output import complete_manifest
from gift.execution.stage import downloaded
from gift.report.headline import headline_figures
from gift.report.schema import load_report

Shown = dict[str, str | float]
"""Metadata of an artifact. KFP's launcher takes neither nulls nor NaN; nor does what is read here."""


def show_directory(uri: str, path: str) -> Shown:
    """Of a Model or a Dataset: write the address of its files to `path`; returns that, the digest, bytes, and what its
    manifest says, e.g. `rows.train`."""

    def show() -> Shown:
        manifest = complete_manifest(uri)
        folder = manifest.folder(uri)
        Path(path).write_text(f"{folder}\n", encoding="utf-8")
        size = sum(file.size for file in manifest.files)
        return {"uri": folder, "digest": manifest.digest(), "bytes": size, **manifest.metadata}

    return _or_nothing(show)


def show_scores(uri: str) -> Shown:
    """Of an evaluation's Metrics: `gsm8k/accuracy`, `gsm8k/stderr` and `gsm8k/problems`, for each benchmark."""

    def show() -> Shown:
        with downloaded(uri, wanted=(RESULTS_FILE,)) as folder:
            results = load_results(folder / RESULTS_FILE, origin=f"{uri}/{RESULTS_FILE}")
        figures: Shown = {}
        for task, result in results.items():
            own = {"accuracy": result.accuracy, "stderr": result.stderr, "problems": result.n}
            figures |= {f"{task}/{name}": figure for name, figure in own.items()}
        return figures

    return _or_nothing(show)


def show_page(uri: str, path: str) -> Shown:
    """Of a report's HTML and Metrics: copy the page to `path`; returns its headline."""

    def show() -> Shown:
        with downloaded(uri, wanted=("report.html", "report.json")) as folder:
            shutil.copyfile(folder / "report.html", path)
            figures = headline_figures(load_report(folder / "report.json"))
        del figures["seconds"]  # KFP's MLflow plugin logs what is here to the task's run, whose own are called so
        return dict(figures)

    return _or_nothing(show)


def _or_nothing(show: Callable[[], Shown]) -> Shown:
    try:
        return show()
    except (GiftError, OSError) as fault:
        print(f"  warning: the page of the run does not show this stage's output: {fault}", flush=True)
        return {}
