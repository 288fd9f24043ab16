"""What this machine multiplies in a second, as a side that takes its turns between the others."""

import torch

from gift.bench.matrix_size import MATRIX_SIZE, MATRIX_TIMES
from gift.bench.turns import Turns


def take_matrix_turns(turns: Turns) -> None:
    """Multiply float32 matrices on one thread, as long as somebody asks."""
    torch.set_num_threads(1)
    left, right = torch.randn(2, MATRIX_SIZE, MATRIX_SIZE)
    while turns.begin():
        for _ in range(MATRIX_TIMES):
            torch.matmul(left, right)
        turns.end(dict)
