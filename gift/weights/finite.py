"""Whether the weights in a safetensors file are finite numbers, read piece by piece and without torch.

A number of any floating-point format is infinite or NaN where all bits of its exponent are set; so the bits are looked
at, and formats that numpy does not know need no conversion. Left out: float8, which no run writes.
"""

from pathlib import Path

from gift.errors import GiftError
from gift.weights.stored_weights import read_header

EXPONENTS = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
"""Format → the integers of its size, and the bits of its exponent."""
PIECE_BYTES = 2**24


def check_finite_weights(file: Path, place: str) -> None:
    """`place` is where people find the file.

    Raises:
        GiftError: a weight is NaN or infinite, or it is no whole safetensors file.
    """
    import numpy as np  # only those who read weights wait for it

    with file.open("rb") as stream:
        for name, tensor in read_header(file).items():
            if tensor.dtype not in EXPONENTS:
                continue
            kind, exponent = EXPONENTS[tensor.dtype]
            stream.seek(tensor.start)
            left = tensor.end - tensor.start
            while left:
                bits = np.frombuffer(stream.read(min(left, PIECE_BYTES)), dtype=kind)
                if bool(((bits & exponent) == exponent).any()):
                    raise GiftError(
                        f"{place} has weights that are no finite numbers ({name}): it was damaged, or its training "
                        "diverged; take another version"
                    )
                left -= bits.nbytes
