"""What this machine multiplies in a second, as a side that takes its turns between the others."""

import torch

from gift.bench.cases import StepCase
from gift.bench.floor import MATRIX_TIMES, matrix_size
from gift.bench.turns import Turns
from gift.models.loading import torch_dtype


def take_matrix_turns(case: StepCase, turns: Turns) -> None:
    """Multiply matrices of the case's number format on its device, by one thread, as long as somebody asks."""
    torch.set_num_threads(1)
    size = matrix_size(case)
    left, right = torch.randn(2, size, size, device=case.device, dtype=torch_dtype(case.precision))
    while turns.begin():
        for _ in range(MATRIX_TIMES):
            torch.matmul(left, right)
        turns.end(dict)
