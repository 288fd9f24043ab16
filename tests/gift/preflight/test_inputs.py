"""What a run reads is known to be wrong before it starts."""

from pathlib import Path

import pytest
from tiny_folders import llama, save

from gift.config import load_profile
from gift.errors import GiftError
from gift.preflight.inputs import check_inputs, check_reward


def test_a_chat_needs_a_model_with_a_template(tmp_path: Path) -> None:
    model = f"model={{source: folder, path: {save(llama(), tmp_path)}}}"
    check_inputs(load_profile("local", (model,)))
    chat = load_profile("local", (model, "prompt=chat", "system=Be brief."))
    with pytest.raises(GiftError, match=r"prompt is chat, but the model in .* has no chat template"):
        check_inputs(chat)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    check_inputs(chat)


@pytest.mark.parametrize("code", ["def broken(:", "1 / 0", "raise RuntimeError('no GPU')"])
def test_a_package_that_can_not_be_imported_is_one_line(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"own_{abs(hash(code))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (reward,) = load_profile("local", (f"rewards=[{{kind: function, function: '{package}.rewards:score'}}]",)).rewards
    with pytest.raises(GiftError, match=f"the module {package}.rewards can't be looked up"):
        check_reward(reward)
