"""The `model` reward: the score of a Hugging Face sequence classification model with one output.

A model whose tokenizer has a chat template reads question and response as a conversation; any other reads the run's
prompt and the response as one text, which a run with `prompt: chat` does not have. The score is divided by √(tokens of
the policy), unless told otherwise, so that length alone earns nothing (GIFT, arXiv 2510.23868). A text that is too long
for the model is refused: cut, it would be another response, and counted as 0 it might be a prize, since scores have no
zero point.

Left out: several outputs, value heads of other libraries, and models spread over devices.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gift.config import FolderModel, ModelReward, PromptFormat
from gift.data.problems import prompt_text
from gift.data.prompts import chat_text, encode
from gift.errors import GiftError
from gift.models.loading import torch_dtype
from gift.models.reading import read_tokenizer, read_weights, refused_in_one_line
from gift.rewards.reward import Response

_CHAT = PromptFormat(template="chat")


def load_model_reward(
    config: ModelReward, prompt: PromptFormat, device: torch.device
) -> Callable[[Sequence[Response]], list[float]]:
    """What scores with the reward model on `device`; `prompt` is the run's.

    A model of the hub must be in a folder by now (`gift.hub.mirror.with_reward_models`).

    Raises:
        GiftError: the model or its tokenizer can't be loaded, it has more than one output, or not exactly its weights.
            When it scores: a text is too long.
    """
    source = config.model
    if not isinstance(source, FolderModel):
        raise TypeError(f"reward {config.name}: {source.name} was not fetched before the ranks were started")
    model, tokenizer = _load(source.path, config)
    model.to(device).eval().requires_grad_(False)
    if prompt.chat and not tokenizer.chat_template:
        raise GiftError(f"reward {config.name}: prompt is chat, and the model in {source.path} has no chat template")
    longest = min(source.context_length, _positions(model), tokenizer.model_max_length)

    def reward(responses: Sequence[Response]) -> list[float]:
        texts = [_token_ids(tokenizer, response, prompt) for response in responses]
        for response, ids in zip(responses, texts, strict=True):
            if len(ids) > longest:
                raise GiftError(
                    f"reward {config.name}: the response to problem {response.problem.id} has {len(ids)} tokens with "
                    f"its prompt, the model takes {longest}; lower rollout.max_new_tokens, or use another model"
                )
        scores = _scores(model, texts, config.batch_size)
        if not config.normalise_length:
            return scores
        return [score / response.tokens**0.5 for score, response in zip(scores, responses, strict=True)]

    return reward


def _load(folder: Path, config: ModelReward) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        with refused_in_one_line(f"the model in {folder}"):
            model_config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if (outputs := model_config.num_labels) != 1:
            raise GiftError(f"the model in {folder} has {outputs} outputs; a reward model has 1")
        kind, dtype = AutoModelForSequenceClassification, torch_dtype(config.precision)
        model = read_weights(kind, folder, config=model_config, dtype=dtype)
        return model, read_tokenizer(folder)
    except GiftError as error:
        raise GiftError(f"reward {config.name}: {error}") from error


def _positions(model: PreTrainedModel) -> int:
    """Tokens that the model's position embeddings allow; where it has none, as many as one likes."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31


def _token_ids(tokenizer: PreTrainedTokenizerBase, response: Response, prompt: PromptFormat) -> list[int]:
    question = response.problem.question
    if tokenizer.chat_template:
        conversation = [{"role": "user", "content": question}, {"role": "assistant", "content": response.text.strip()}]
        return encode(tokenizer, [chat_text(tokenizer, conversation, answer_follows=False)], _CHAT)[0]
    text = prompt_text(question, prompt.template) + response.text
    ids: list[int] = tokenizer(text, split_special_tokens=True)["input_ids"]  # with what it puts around a text
    return ids


@torch.no_grad()
def _scores(model: PreTrainedModel, texts: Sequence[list[int]], batch_size: int) -> list[float]:
    """B token sequences → B scores. Neighbours in length share a batch, padded on the right."""
    # The model finds a text's last token by this id, so no other may pad; without one it takes a text at a time.
    pad = model.config.get_text_config().pad_token_id
    size = batch_size if pad is not None else 1
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    scores = [0.0] * len(texts)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        ids = pad_sequence(
            [torch.tensor(texts[row]) for row in rows], batch_first=True, padding_value=pad or 0
        )  # (b, T)
        lengths = torch.tensor([len(texts[row]) for row in rows])
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        logits = model(input_ids=ids.to(model.device), attention_mask=mask.long().to(model.device)).logits  # (b, 1)
        for row, score in zip(rows, logits.squeeze(-1).tolist(), strict=True):
            scores[row] = score
    return scores
