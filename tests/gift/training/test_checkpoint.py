"""A checkpoint to go on from that carries code is refused, and none of it is run."""

import shutil
from pathlib import Path

import pytest
import torch

from gift.errors import GiftError
from gift.training.checkpoint import check_share


@pytest.mark.parametrize("file", ["mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"])
def test_a_checkpoint_that_carries_code_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "step-1"
    folder.mkdir()
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        torch.save({"dp_world_size": 1}, folder / name)
    check_share(tmp_path, 1, 0, 1)
    torch.save({"dp_world_size": 1, "code": shutil.rmtree}, folder / file)
    with pytest.raises(GiftError, match=r"a file of rank 0 can't be read \(UnpicklingError\)"):
        check_share(tmp_path, 1, 0, 1)
