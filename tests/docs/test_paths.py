"""Every file and folder that the pages for readers name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/models-and-data.md")
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"runs"}
"""A name that begins with one of these is a path; `runs/` is what a run leaves behind."""
SUFFIXES = "py|md|yaml|svg|html|json|toml|txt|in|jinja"


def _missing(text: str, folder: Path) -> list[str]:
    """Paths in backticks or code blocks, from the root of the project, and links, from the page's own folder."""
    code = re.findall(rf"(?<![\w/.<>-])((?:{'|'.join(map(re.escape, sorted(FOLDERS)))})/[\w./-]*)", text)
    named = {path for path in code if path.endswith("/") or re.search(rf"\.(?:{SUFFIXES})$", path)}
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    gone = [path for path in sorted(named) if not (ROOT / path).exists() and not (folder / path).exists()]
    return gone + [f"({link})" for link in sorted(links) if link and not (folder / link).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    assert _missing((ROOT / page).read_text(encoding="utf-8"), (ROOT / page).parent) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`gift/training/job.py` and `gift/launch/one_node.py`", ["gift/training/job.py"]),
        ("python docs/figures/houses.py", ["docs/figures/houses.py"]),
        ("```\npytest tests/gift/test_nothing.py -q\n```", ["tests/gift/test_nothing.py"]),
        ("`gift/trainings/`, `gift/training/`", ["gift/trainings/"]),
        ("[page](docs/none.md#part) and [other](docs/algorithms.md)", ["docs/none.md", "(docs/none.md)"]),
        ("the metric `gift/correlation`, `profiles/<name>.yaml`, https://example.org/gift/none.py", []),
    ],
)
def test_a_path_that_is_not_there_is_seen(text: str, missing: list[str]) -> None:
    assert _missing(text, ROOT) == missing
