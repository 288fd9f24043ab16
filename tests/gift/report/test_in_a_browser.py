"""The report in a real browser: it filters, searches and copies, fits phone, night and paper, and nothing complains.

Needs Debian's `chromium` and `chromium-driver`; without them these tests are skipped by name.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PROGRAMS, Browser, chromium

from gift.report.html import render_report
from gift.report.rerun_command import reproduction_command
from gift.report.schema import Report, parse_report

EXAMPLE = Path(__file__).with_name("report.json")
HOSTILE = """</pre><img src=x onerror="document.title='run'"><script>document.title = 'run'</script>"""
LONG = "w" * 400

missing = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} are not installed")


@pytest.fixture(scope="module")
def report() -> Report:
    """Hostile and endless words where a model or a person wrote them."""
    values = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    values["answered_twice"][0]["candidate"]["text"] += HOSTILE
    values["answered_twice"][1]["question"] += LONG
    values["config"]["description"] = f"{HOSTILE} {LONG}"
    values["models"]["champion"] = values["models"]["sft"]
    return parse_report(values)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(report), encoding="utf-8")
    return path


@pytest.fixture
def browser(window: Browser, page: Path) -> Iterator[Browser]:
    """The page, freshly opened; afterwards its console is empty."""
    window.open(page.as_uri())
    yield window
    assert window.console() == []


CHOOSE = """
const [name, value] = arguments;
const input = document.querySelector(`#filter [name=${name}]`);
input.value = value;
input.dispatchEvent(new Event("input", { bubbles: true }));
const shown = [...document.querySelectorAll("details.answer")].filter((answer) => answer.checkVisibility());
return [shown.map((answer) => answer.dataset.change), document.querySelector("#filter output").textContent];
"""


def test_answers_are_filtered_by_benchmark_and_change_and_found_by_their_words(browser: Browser) -> None:
    assert browser.run(CHOOSE, "words", "") == [["better", "worse", "same"], "3 of 3"]
    assert browser.run(CHOOSE, "benchmark", "heldout") == [["better", "worse"], "2 of 3"]
    assert browser.run(CHOOSE, "change", "worse") == [["worse"], "1 of 3"]
    assert browser.run(CHOOSE, "benchmark", "gsm8k") == [[], "0 of 3"]
    assert browser.run(CHOOSE, "change", "") == [["same"], "1 of 3"]
    assert browser.run(CHOOSE, "benchmark", "") == [["better", "worse", "same"], "3 of 3"]
    assert browser.run(CHOOSE, "words", "PENS 9") == [["better"], "1 of 3"]
    assert browser.run(CHOOSE, "words", "<script>") == [["better"], "1 of 3"]
    assert browser.run(CHOOSE, "words", "nowhere") == [[], "0 of 3"]


def test_the_command_is_copied(browser: Browser, report: Report) -> None:
    browser.tell("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    assert browser.run(PRESS) == "Copied"
    assert browser.run("return navigator.clipboard.readText()") == reproduction_command(report)


def test_without_a_clipboard_it_is_selected(browser: Browser, report: Report) -> None:
    browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    assert browser.run(PRESS).startswith("Selected")
    assert browser.run("return getSelection().toString()") == reproduction_command(report)


PRESS = """
return (async () => {
  const button = document.querySelector("button");
  button.click();
  for (let turn = 0; turn < 50 && button.textContent === "Copy"; turn++) await new Promise((r) => setTimeout(r, 20));
  return button.textContent;
})();
"""


def test_what_a_model_wrote_does_not_run_and_neither_does_what_gets_into_the_page(window: Browser, page: Path) -> None:
    window.open(page.as_uri())
    title = window.run("return document.title")
    assert title != "run"
    assert window.console() == []
    window.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)"
    )
    assert window.run("return document.title") == title
    (complaint,) = window.console()
    assert "Content Security Policy" in complaint


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_is_as_wide_as_the_screen(browser: Browser, width: int) -> None:
    browser.tell("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 800)
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    root = "document.documentElement"
    found = browser.run(f"return [{root}.scrollWidth - {root}.clientWidth, innerWidth]")
    browser.tell("Emulation.clearDeviceMetricsOverride")
    assert found == [0, width]


def _colours(browser: Browser) -> tuple[str, str]:
    return tuple(browser.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"))


def test_night_is_dark_and_paper_is_white(browser: Browser) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.tell("Emulation.setEmulatedMedia", media="screen", features=dark)
    assert _colours(browser) == ("rgb(20, 23, 27)", "rgb(236, 238, 241)")
    browser.tell("Emulation.setEmulatedMedia", media="print", features=dark)
    assert _colours(browser) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    hidden = "return ['#filter', 'button'].map((part) => document.querySelector(part).checkVisibility())"
    assert browser.run(hidden) == [False, False]
    assert browser.run("return getComputedStyle(document.querySelector('.listed')).maxHeight") == "none"
    browser.tell("Emulation.setEmulatedMedia", media="", features=[])
    printed = base64.b64decode(browser.tell("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF-")
