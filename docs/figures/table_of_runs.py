"""Takes a picture of MLflow's table of runs, by day and by night, in headless Chromium: what people sort it by.

    gift up
    python docs/figures/table_of_runs.py http://127.0.0.1:5500 [FOLDER]    (seconds; needs chromium, chromium-driver)

`runs-light.webp` and `runs-dark.webp` lie in FOLDER, or beside this file. The columns are chosen as a person does with
MLflow's button «Columns», whose choice the browser keeps. Left out: the rest of MLflow's pages.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import requests
from browser import PROGRAMS, Browser, chromium

HERE = Path(__file__).parent
EXPERIMENT = "gift"
"""The profiles' default."""
COLUMNS = ("heldout/candidate", "heldout/gain", "heldout/gain_low", "heldout/sft", "promoted")
"""In the order of MLflow's own, which is the alphabet's."""
WIDTH, HEIGHT = 1380, 370
"""Of the window, in CSS pixels."""
PATIENCE_SECONDS = 60.0
MENU_WIDTH = 190
"""MLflow's own menu on the left, which is left out."""
CHOOSE = """
const [columns, dark] = arguments;
const kept = Object.keys(localStorage).find((name) => /ExperimentPage.*ReactComponentState/.test(name));
const state = JSON.parse(localStorage.getItem(kept));
localStorage.setItem(kept, JSON.stringify({ ...state, selectedColumns: columns }));
localStorage.setItem("_mlflow_dark_mode_toggle_enabled", dark);
localStorage.setItem("mlflow.assistant.panelOpen_v1", false);
"""
KEPT = "return Object.keys(localStorage).some((name) => /ExperimentPage.*ReactComponentState/.test(name))"
SHOWN = """
const heads = [...document.querySelectorAll('[role="columnheader"]')].map((head) => head.textContent.trim());
return [...arguments].every((name) => heads.includes(name));
"""


def take_table(address: str, folder: Path, experiment: str = EXPERIMENT) -> list[Path]:
    """Write both pictures of an experiment's runs into an existing folder; returns their paths.

    Raises:
        RuntimeError: MLflow's page does not show the columns.
    """
    page = f"{address}/#/experiments/{_number(address, experiment)}/runs"
    with tempfile.TemporaryDirectory(prefix="pictures-") as profile, chromium(Path(profile)) as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.open(page)
        _wait_until(browser, KEPT)
        return [_taken(browser, page, folder, scheme) for scheme in ("light", "dark")]


def _number(address: str, experiment: str) -> str:
    """MLflow's own, of an experiment."""
    asked = {"experiment_name": experiment}
    answer = requests.get(f"{address}/api/2.0/mlflow/experiments/get-by-name", params=asked, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    return str(answer.json()["experiment"]["experiment_id"])


def _taken(browser: Browser, page: str, folder: Path, scheme: str) -> Path:
    browser.run(CHOOSE, [f"metrics.`{name}`" for name in COLUMNS], scheme == "dark")
    browser.open("about:blank")  # the page reads what is kept only when it is opened
    browser.open(page)
    _wait_until(browser, SHOWN, *COLUMNS)
    path = folder / f"runs-{scheme}.webp"
    browser.take({"x": MENU_WIDTH, "y": 0, "width": WIDTH - MENU_WIDTH, "height": HEIGHT}, 1.0, path)
    return path


def _wait_until(browser: Browser, condition: str, *arguments: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not browser.run(condition, *arguments):
        if time.monotonic() > until:
            raise RuntimeError(f"MLflow's page does not come to show its table in {PATIENCE_SECONDS:.0f} seconds")
        time.sleep(0.5)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.exit(
            f"error: {' and '.join(missing)} are not installed; Debian's packages are chromium and chromium-driver"
        )
    for picture in take_table(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) == 3 else HERE):
        print(picture)
