"""A model as lm-eval sees it: texts in, completions out, by the token ids, ends and decoding of training.

lm-eval's own class for transformers models has rules of its own for all three: it adds a second beginning-of-sequence
token, takes special tokens in a question for real ones, and cuts at texts that look like one.

Left out: log-likelihoods, which no task here asks for, and several GPUs.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.utils_hf import stop_sequences_criteria
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteriaList

from gift.config import PromptFormat
from gift.data.prompts import chat_text, encode, guarded
from gift.data.tokens import pad_left, response_mask, response_texts
from gift.models.generation import generate

_SETTINGS = {"until", "do_sample", "temperature", "max_gen_toks", "top_p", "top_k"}
_UNBENT = {"top_p": 1.0, "top_k": 0}
"""Samples are drawn from the policy itself."""


class LanguageModel(LM):  # type: ignore[misc]  # lm-eval has no types
    """What `lm_eval.evaluate` asks, with one model and one tokenizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        ends: Sequence[int],
        prompt: PromptFormat,
        batch_size: int,
    ) -> None:
        super().__init__()
        self._model = model
        self._tokenizer = tokenizer
        self._ends = ends
        self._prompt = prompt
        self._batch_size = batch_size
        self.asked_as_in_training = False
        """Whether contexts are those of `gift.data.prompts.asked_text`, and not lm-eval's own."""
        self.on_completion: Callable[[], None] = lambda: None
        """Called after each completion."""

    @property
    def context_length(self) -> int:
        """Tokens that the model's positions allow; where it has none, as many as one likes."""
        return getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or 2**31

    def token_ids(self, contexts: Sequence[str]) -> list[list[int]]:
        """What the model is given."""
        if not (self.asked_as_in_training or self._prompt.chat):
            contexts = [guarded(self._tokenizer, context) for context in contexts]
        return encode(self._tokenizer, contexts, self._prompt)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """One completion per request. Longest prompts first, so that the first batch takes the most memory."""
        prompts = self.token_ids([request.args[0] for request in requests])
        order = sorted(range(len(requests)), key=lambda row: (-len(prompts[row]), requests[row].args[0]))
        completions = [""] * len(requests)
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            texts = self._complete([prompts[row] for row in rows], **requests[rows[0]].args[1])
            for row, text in zip(rows, texts, strict=True):
                completions[row] = text
                self.on_completion()
        return completions

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return chat_text(self._tokenizer, chat_history, answer_follows=add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The text of it, which lm-eval writes down."""
        return str(self._tokenizer.chat_template) if chat_template else None

    @property
    def tokenizer_name(self) -> str:
        return str(self._tokenizer.name_or_path)

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        raise NotImplementedError("no task of this project asks for log-likelihoods")

    loglikelihood_rolling = loglikelihood

    def _complete(self, prompts: Sequence[Sequence[int]], until: Sequence[str], **settings: Any) -> list[str]:
        """Completions of prompts that fit into one batch, each cut before the first of `until`.

        Raises:
            ValueError: a task has a setting that is not known here, or one that bends the policy.
        """
        bends = {name: value for name, value in settings.items() if name in _UNBENT and value != _UNBENT[name]}
        if bends or settings.keys() - _SETTINGS:
            raise ValueError(f"a task's generation settings {settings} are more than {sorted(_SETTINGS)}, or cut")
        ids, mask = (part.to(self._model.device) for part in pad_left(prompts, self._tokenizer.pad_token_id))
        stopping = stop_sequences_criteria(self._tokenizer, until, ids.shape[1], len(ids)) if until else None
        response_ids = self._generate(ids, mask, stopping, **settings)
        texts = response_texts(self._tokenizer, response_ids, response_mask(response_ids, self._ends), self._ends)
        return [_before_any(text, until) for text in texts]

    def _generate(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        stopping: StoppingCriteriaList | None,
        *,
        max_gen_toks: int,
        do_sample: bool,
        temperature: float,
        **_unbent: float,
    ) -> torch.Tensor:
        return generate(
            self._model,
            ids,
            mask,
            ends=self._ends,
            pad=self._tokenizer.pad_token_id,
            max_new_tokens=max_gen_toks,
            temperature=temperature if do_sample else 0.0,
            stopping=stopping,
        )


def _before_any(text: str, stops: Sequence[str]) -> str:
    for stop in stops:
        text = text.split(stop)[0]
    return text
