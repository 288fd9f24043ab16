"""docs/algorithms.md names every option of every objective with the default that the configuration really has."""

import re
from pathlib import Path

import pytest

from gift.config import (
    CispoConfig,
    DapoConfig,
    DpoConfig,
    DrGrpoConfig,
    GiftConfig,
    GrpoConfig,
    GspoConfig,
    GvpoConfig,
    OaplConfig,
    UnaConfig,
)

OBJECTIVES = {
    **{"GIFT": GiftConfig, "GRPO": GrpoConfig, "GVPO": GvpoConfig, "DPO": DpoConfig, "UNA": UnaConfig},
    **{"Dr. GRPO": DrGrpoConfig, "DAPO": DapoConfig, "GSPO": GspoConfig, "CISPO": CispoConfig, "OAPL": OaplConfig},
}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "algorithms.md"


@pytest.mark.parametrize(("heading", "section"), OBJECTIVES.items(), ids=OBJECTIVES)
def test_the_table_of_an_objective_lists_its_options_and_their_defaults(heading: str, section: type) -> None:
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = text[text.index("| option | default |") :]
    documented = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, flags=re.MULTILINE))
    assert documented == {name: str(value) for name, value in section().model_dump().items()}
