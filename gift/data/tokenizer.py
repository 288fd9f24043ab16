"""A small byte-level BPE tokenizer trained on given texts, with every digit a token of its own.

Any text survives encoding and decoding unchanged. Deliberately left out: a chat template and a beginning-of-sequence
token; a prompt is plain text (`gift.data.problems.prompt_text`).
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD_TOKEN, EOS_TOKEN = "<|pad|>", "<|eos|>"


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Train on `texts`; the result depends on nothing else. Fewer tokens result when the texts hold no more."""
    bpe = Tokenizer(models.BPE())
    # Digits first: byte-level splitting would keep runs of digits together.
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD_TOKEN, EOS_TOKEN],
        # All 256 bytes, so that no text is out of vocabulary.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD_TOKEN,
        eos_token=EOS_TOKEN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
