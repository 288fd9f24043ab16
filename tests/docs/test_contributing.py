"""The examples of CONTRIBUTING.md and the names in its recipes are those of the code."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_example_of_style_is_in_the_file_that_it_names() -> None:
    examples = re.findall(r"^`([\w/.]+)`\n\n```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == PAGE.count("```python") > 0
    assert [path for path, code in examples if code not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_what_a_recipe_tells_to_change_is_in_the_file_that_it_names() -> None:
    recipes = PAGE[PAGE.index("## How to add") : PAGE.index("## Style")]
    steps = re.findall(r"^\d\. `([\w/]+\.py)`(.*?)(?=^\d\. |^$)", recipes, flags=re.MULTILINE | re.DOTALL)
    assert steps
    for path, text in steps:
        files = [path, *re.findall(r"`([\w/]+\.py)`", text)]
        sources = " ".join((ROOT / file).read_text(encoding="utf-8") for file in files)
        assert [name for name in re.findall(r"`(\w+)`", text) if name not in sources] == [], path
