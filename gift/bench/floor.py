"""The arithmetic that no update step can do without, counted from shapes: operations of the matrix products.

    operations = 4 · forward        (the reference's forward pass; the policy's, and twice as much backward)
               + 1 · forward        of responses that are all as long as the longest, where a step begins with sampling

A group's prompt is read once, and no padding. The last token of a response predicts nothing and is not read. Of the
last layer, tokens that predict no response token need keys and values alone, and the head sees only those that do.

How long that takes at least is a matter of what the machine multiplies in a second, which `gift.bench.matrix` finds out
with matrices whose size is said here. Imports no torch.

Left out: what is no matrix product (norms, softmax, the optimizer), which takes time and hardly any operations.
"""

from collections.abc import Sequence

from gift.bench.cases import StepCase
from gift.config import ModelShape

PASSES = 4
"""In units of one forward pass."""
MATRIX_TIMES = 8
"""Products of a turn."""


def matrix_size(case: StepCase) -> int:
    """Rows and columns: three float32 matrices of 4 MB on a CPU, and enough to keep a GPU busy."""
    return 1024 if case.device == "cpu" else 8192


def matrix_operations(case: StepCase) -> int:
    """Multiplications and additions of a turn of `gift.bench.matrix`."""
    return 2 * matrix_size(case) ** 3 * MATRIX_TIMES


def floor_operations(case: StepCase) -> int:
    """Multiplications and additions of one step."""
    learning = PASSES * sum(_forward(case.model, case.prompt_tokens, lengths) for lengths in case.response_lengths)
    longest = [case.response_tokens] * case.group_size
    sampling = case.prompts * _forward(case.model, case.prompt_tokens, longest) if case.sampled else 0
    return learning + sampling


def _forward(shape: ModelShape, prompt: int, lengths: Sequence[int]) -> int:
    """Of one group."""
    hidden, attention = shape.hidden_size, shape.attention_heads * shape.head_size
    keys_and_values = hidden * 2 * shape.key_value_heads * shape.head_size
    others = 2 * hidden * attention + 3 * hidden * shape.intermediate_size  # queries, output, feed-forward
    responses = sum(length - 1 for length in lengths)
    tokens, predicting = prompt + responses, 1 + responses
    pairs_of_responses = sum(prompt + position for length in lengths for position in range(1, length))
    pairs = prompt * (prompt + 1) // 2 + pairs_of_responses
    last_pairs = prompt + pairs_of_responses
    products = shape.layers * tokens * keys_and_values + ((shape.layers - 1) * tokens + predicting) * others
    scores = 2 * attention * ((shape.layers - 1) * pairs + last_pairs)  # queries by keys, and weights by values
    return 2 * (products + scores + predicting * hidden * shape.vocabulary_size)
