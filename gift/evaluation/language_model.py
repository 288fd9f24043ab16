"""A model as lm-eval sees it: texts in, completions or likelihoods out, with the token ids and ends of training.

lm-eval's own class for transformers models has rules of its own for all three: it adds a second beginning-of-sequence
token, takes special tokens in a question for real ones, and cuts at texts that look like one.

Left out: the likelihood of whole documents, which is no score of a problem.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.prompts import chat_text, encode, guarded
from gift.data.tokens import response_text
from gift.evaluation.decoders import Decoder, Decoding
from gift.evaluation.likelihood import TokenPair, encode_pairs
from gift.models.reading import read_config

_KNOWN = {"until", "do_sample", "temperature", "max_gen_toks"}
_UNBENT = {"top_p": 1.0, "top_k": 0}
"""Samples are drawn from the policy itself."""


@dataclass(frozen=True)
class CompletedPrompt:
    """What a model said to one request."""

    text: str
    """Without the end of the answer, and cut before the first of the task's stop texts."""
    tokens: int = 0
    """As the model made them, the end included."""
    truncated: bool = False
    """It had not ended when it reached the limit."""


class LanguageModel(LM):  # type: ignore[misc]  # lm-eval has no types
    """What `lm_eval.evaluate` asks, with one model and one tokenizer."""

    def __init__(
        self, folder: Path, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], prompt: PromptFormat
    ) -> None:
        """Args: `folder` holds the model, of which only the configuration is read here."""
        super().__init__()
        self._positions = getattr(read_config(folder).get_text_config(), "max_position_embeddings", None)
        self._tokenizer = tokenizer
        self._ends = ends
        self.prompt = prompt
        """How the task at hand is asked."""
        self.decoder: Decoder | None = None
        """Completes the prompts; set before anything is asked."""
        self.seed = 0
        """Of samples."""
        self.asked_as_in_training = False
        """Whether contexts are those of `gift.data.prompts.asked_text`, and not lm-eval's own."""
        self.on_completion: Callable[[], None] = lambda: None
        """Called after each completion."""
        self.completed: list[tuple[tuple[str, int], CompletedPrompt]] = []
        """((name of the task, number of the problem), completion, or text whose likelihood was asked for) of every
        request since somebody emptied it, in the order of requests."""

    @property
    def context_length(self) -> int:
        """Tokens that the model's positions allow; where it has none, as many as one likes."""
        return self._positions or 2**31

    def token_ids(self, contexts: Sequence[str]) -> list[list[int]]:
        """What the model is given."""
        if not (self.asked_as_in_training or self.prompt.chat):
            contexts = [guarded(self._tokenizer, context) for context in contexts]
        return encode(self._tokenizer, contexts, self.prompt)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """One completion per request."""
        completed = self.complete(requests)
        self._keep(requests, completed)
        return [one.text for one in completed]

    def complete(self, requests: Sequence[Instance]) -> list[CompletedPrompt]:
        """The same with what `generate_until` leaves out. All requests are of one task, whose settings are one."""
        decoding = self._decoding(**requests[0].args[1])
        prompts = self.token_ids([request.args[0] for request in requests])
        completions = self._opened().complete(prompts, decoding, self.on_completion)
        return [self._completed(ids, decoding) for ids in completions]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """(log-probability of a text after another, whether it is what greedy decoding says) per request."""
        pairs = self.token_pairs(requests)
        found = self._opened().likelihoods(pairs, self.on_completion)
        texts = [
            CompletedPrompt(request.args[1], len(pair.continuation))
            for request, pair in zip(requests, pairs, strict=True)
        ]
        self._keep(requests, texts)
        return [(one.log_probability, one.greedy) for one in found]

    def token_pairs(self, requests: Sequence[Instance]) -> list[TokenPair]:
        """What the model is given by `loglikelihood`; in a chat the contexts are guarded already."""
        guard = partial(guarded, self._tokenizer)
        texts = [
            (context if self.prompt.chat else guard(context), guard(continuation))
            for context, continuation in (request.args for request in requests)
        ]
        first = self._tokenizer.bos_token_id
        first = self._tokenizer.eos_token_id if first is None else first
        return encode_pairs(lambda whole: encode(self._tokenizer, whole, self.prompt), texts, first)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return chat_text(self._tokenizer, chat_history, answer_follows=add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The text of it, which lm-eval writes down."""
        return str(self._tokenizer.chat_template) if chat_template else None

    @property
    def tokenizer_name(self) -> str:
        return str(self._tokenizer.name_or_path)

    def loglikelihood_rolling(self, requests: list[Instance]) -> NoReturn:
        raise NotImplementedError("tasks that ask for the likelihood of whole documents are refused before")

    def _opened(self) -> Decoder:
        if self.decoder is None:
            raise RuntimeError("the language model has no decoder yet")
        return self.decoder

    def _keep(self, requests: Sequence[Instance], completed: Sequence[CompletedPrompt]) -> None:
        keys = [(request.task_name, request.doc_id) for request in requests]
        self.completed += zip(keys, completed, strict=True)

    def _decoding(
        self, *, until: Sequence[str], max_gen_toks: int, do_sample: bool, temperature: float, **settings: Any
    ) -> Decoding:
        """Raises: ValueError: a task has a setting that is refused."""
        if refused_settings(settings):
            raise ValueError(f"a task has the generation settings {refused_settings(settings)}")
        return Decoding(max_gen_toks, temperature if do_sample else 0.0, tuple(until), self.seed)

    def _completed(self, ids: list[int], decoding: Decoding) -> CompletedPrompt:
        text = response_text(self._tokenizer, ids, self._ends)
        cut = _before_any(text, decoding.until)
        ended = ids[-1:] and ids[-1] in self._ends
        truncated = len(ids) >= decoding.max_new_tokens and not ended and cut == text
        return CompletedPrompt(cut, len(ids), truncated)


def refused_settings(settings: Mapping[str, Any]) -> list[str]:
    """The generation settings of a task that are not known here, or that bend the policy."""
    others = {name: value for name, value in settings.items() if name not in _KNOWN}
    return [name for name, value in others.items() if name not in _UNBENT or value != _UNBENT[name]]


def _before_any(text: str, stops: Sequence[str]) -> str:
    for stop in stops:
        text = text.split(stop)[0]
    return text
