"""What a run reads is known to be wrong before it starts."""

from pathlib import Path

import pytest
from tiny_folders import llama, save

from gift.config import load_profile
from gift.config.surroundings import check_server_address
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


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def brevity(text, problem): ...", None),
        ("brevity = len", None),
        ("from os.path import *", None),
        ("def __getattr__(name): ...", None),
        ("def brevty(text, problem): ...\nprint(brevity)", "rewards.py has no function brevity; correct one of them"),
        ("def brevity(:", "rewards.py is not Python .*; correct it"),
        ("\0", "rewards.py is not Python .*; correct it"),
    ],
)
def test_a_function_that_its_module_does_not_have_is_named_without_running_it(
    code: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"own_{abs(hash(code))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "rewards.py").write_text(f"{code}\nraise RuntimeError('no GPU')\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = f"rewards=[{{kind: function, function: '{package}.rewards:brevity'}}]"
    (reward,) = load_profile("local", (function,)).rewards
    if message is None:
        check_reward(reward)
    else:
        with pytest.raises(GiftError, match=message):
            check_reward(reward)


@pytest.mark.parametrize("address", ["vllm:8000", "http://", "http://vllm:80000", "http://[::1", "ftp://vllm"])
def test_an_address_of_vllm_that_is_none_is_found_before_anything_starts(address: str) -> None:
    config = load_profile("local", ("rollout.engine=vllm", "rollout.vllm.placement=server"))
    check_server_address(config, {"GIFT_VLLM_SERVER": "http://vllm:8000"})
    with pytest.raises(GiftError, match="GIFT_VLLM_SERVER is no address; set it to one like http://vllm:8000"):
        check_server_address(config, {"GIFT_VLLM_SERVER": address})
