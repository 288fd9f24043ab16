"""A rank starts without what nobody in it uses, and its owner's code may use it all the same."""

import gc
import subprocess
import sys
from types import ModuleType

import pytest

from gift.host.lean_imports import UNUSED, lean_imports
from gift.launch.rank_parent import MUON

LEAN = """
import sys
from gift.host.lean_imports import UNUSED
from gift.launch.rank_parent import import_once
import_once("gift.training.rl")
import gift.training.sft
"""


def _python(code: str) -> str:
    environment = {"DS_ACCELERATOR": "cpu", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_training_loads_nothing_that_it_does_not_use_and_leaves_it_to_others() -> None:
    left_out = "print([name for name in (*UNUSED, 'torch._inductor.compile_fx') if name in sys.modules], end=' ')\n"
    assert _python(LEAN + left_out + "import pandas, sklearn.metrics; print(pandas.__name__)") == "[] pandas"


@pytest.mark.slow
def test_the_packages_are_there_to_be_left_out() -> None:
    loaded = _python(f"import sys, deepspeed, transformers.generation.utils, {MUON}\nprint(list(sys.modules))")
    for name in (*UNUSED, "torch._inductor.compile_fx"):
        assert f"'{name}'" in loaded, f"nothing imports {name} in passing any more: take it out"


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_rests_and_then_does_what_it_did(collects: bool) -> None:
    (gc.enable if collects else gc.disable)()
    try:
        with lean_imports():
            assert not gc.isenabled()
        assert gc.isenabled() is collects
    finally:
        gc.enable()


def test_what_is_loaded_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ModuleType("pandas")
    monkeypatch.setitem(sys.modules, "pandas", here)
    with lean_imports():
        assert sys.modules["pandas"] is here
    assert sys.modules["pandas"] is here
