"""What a run reads is known to be wrong before it starts."""

from pathlib import Path

import pytest
from tiny_folders import llama, save

from gift.config import load_profile
from gift.errors import GiftError
from gift.preflight.inputs import check_inputs


def test_a_chat_needs_a_model_with_a_template(tmp_path: Path) -> None:
    model = f"model={{source: folder, path: {save(llama(), tmp_path)}}}"
    check_inputs(load_profile("local", (model,)))
    chat = load_profile("local", (model, "prompt=chat", "system=Be brief."))
    with pytest.raises(GiftError, match=r"prompt is chat, but the model in .* has no chat template"):
        check_inputs(chat)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    check_inputs(chat)
