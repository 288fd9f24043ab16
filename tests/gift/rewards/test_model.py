"""Reward models: their score is what transformers computes for the text alone, whatever is in the batch beside it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from gift.config import FolderModel, ModelReward, PromptFormat
from gift.data.problems import Problem
from gift.data.tokenizer import train_tokenizer
from gift.errors import GiftError
from gift.rewards import open_scorer

PROMPT = "Q: {question}\nA:"
TEXTS = [" one", " a much longer answer with many words in it", " 12 + 30 = 42", "<|eos|>"]
PROBLEMS = [Problem(f"p{i}", f"What is {i}?", "", "") for i in range(len(TEXTS))]
LENGTHS = [4, 25, 9, 1]
CHAT = "{% for message in messages %}[{{ message.role }}] {{ message.content }}<|eos|>{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([PROMPT, *TEXTS], 300)


def llama(tokenizer: PreTrainedTokenizerFast, kind: type[PreTrainedModel], **settings: object) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 128}
    return kind(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.5, **(sizes | config | settings))).eval()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scores(folder: Path, **settings: object) -> list[float]:
    config = ModelReward(kind="model", model=FolderModel(source="folder", path=folder), **settings)
    with open_scorer((config,), prompt=PromptFormat(template=PROMPT), device=torch.device("cpu")) as scorer:
        return scorer.score(TEXTS, PROBLEMS, LENGTHS).by_name["model"]


def by_hand(model: PreTrainedModel, ids: list[int]) -> float:
    """The last token's hidden state times the head: what a Llama reward model is."""
    with torch.no_grad():
        hidden = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return float(hidden @ model.score.weight[0])


def expected(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[float]:
    prompts = [PROMPT.format(question=problem.question) for problem in PROBLEMS]
    return [
        by_hand(model, tokenizer(prompt + text, split_special_tokens=True)["input_ids"])
        for prompt, text in zip(prompts, TEXTS, strict=True)
    ]


def test_the_score_is_that_of_prompt_and_response(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = llama(tokenizer, LlamaForSequenceClassification)
    folder = save(model, tokenizer, tmp_path)
    by_itself = expected(model, tokenizer)
    assert max(by_itself) - min(by_itself) > 0.1  # the texts do differ
    for batch_size in (1, 3, 16):
        assert scores(folder, normalise_length=False, batch_size=batch_size) == pytest.approx(by_itself, abs=1e-5)


def test_the_score_is_divided_by_the_root_of_the_policy_s_tokens(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification), tokenizer, tmp_path)
    whole = scores(folder, normalise_length=False)
    assert scores(folder) == pytest.approx([whole[0] / 2, whole[1] / 5, whole[2] / 3, whole[3]], abs=1e-6)


def test_a_chat_template_is_used_with_the_question_alone(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = llama(tokenizer, LlamaForSequenceClassification)
    folder = save(model, tokenizer, tmp_path)
    (folder / "chat_template.jinja").write_text(CHAT)

    def chat_ids(question: str, response: str) -> list[int]:
        turns = (f"[user] {question}", f"[assistant] {response.strip()}")
        asked, answered = tokenizer(turns, split_special_tokens=True)["input_ids"]  # "<|eos|>" in a response is text
        return [*asked, tokenizer.eos_token_id, *answered, tokenizer.eos_token_id]

    chats = [chat_ids(problem.question, text) for problem, text in zip(PROBLEMS, TEXTS, strict=True)]
    by_itself = [by_hand(model, chat) for chat in chats]
    assert scores(folder, normalise_length=False) == pytest.approx(by_itself, abs=1e-5)


def test_a_model_without_a_padding_token_takes_a_text_at_a_time(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = llama(tokenizer, LlamaForSequenceClassification, pad_token_id=None)
    folder = save(model, tokenizer, tmp_path)
    assert scores(folder, normalise_length=False) == pytest.approx(expected(model, tokenizer), abs=1e-5)


def test_an_encoder_works_too(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=0, initializer_range=0.5, **sizes)
    model = BertForSequenceClassification(config).eval()
    folder = save(model, tokenizer, tmp_path)
    with torch.no_grad():
        by_itself = [
            model(
                torch.tensor(
                    [tokenizer(PROMPT.format(question=problem.question) + text, split_special_tokens=True)["input_ids"]]
                )
            ).logits.item()
            for problem, text in zip(PROBLEMS, TEXTS, strict=True)
        ]
    assert scores(folder, normalise_length=False) == pytest.approx(by_itself, abs=1e-5)


def test_bf16_is_close(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification), tokenizer, tmp_path)
    whole, half = scores(folder), scores(folder, precision="bf16")
    assert half != whole
    assert half == pytest.approx(whole, abs=0.2)


def test_a_text_that_is_too_long_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification), tokenizer, tmp_path)
    model = FolderModel(source="folder", path=folder, context_length=20)
    with (
        open_scorer(
            [ModelReward(kind="model", model=model)], prompt=PromptFormat(template=PROMPT), device=torch.device("cpu")
        ) as scorer,
        pytest.raises(
            GiftError, match=r"the response to problem p1 has \d+ tokens with its prompt, the model takes 20"
        ),
    ):
        scorer.score(TEXTS, PROBLEMS, LENGTHS)


def test_a_model_with_several_outputs_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification, num_labels=3), tokenizer, tmp_path)
    with pytest.raises(GiftError, match="has 3 outputs; a reward model has 1"):
        scores(folder)


def test_a_language_model_without_the_head_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = save(llama(tokenizer, LlamaForCausalLM), tokenizer, tmp_path)
    with pytest.raises(
        GiftError, match=r"reward model: .* missing: score\.weight; without a place in it: lm_head\.weight; "
    ):
        scores(folder)


@pytest.mark.parametrize("layers", [1, 3])
def test_another_number_of_layers_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, layers: int) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification), tokenizer, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
    with pytest.raises(GiftError, match=rf"reward model: .* model\.layers\.{min(layers, 2)}\."):
        scores(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_broken_file_is_one_line_with_the_reward_s_name(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str
) -> None:
    folder = save(llama(tokenizer, LlamaForSequenceClassification), tokenizer, tmp_path)
    (folder / name).write_text("{")
    with pytest.raises(GiftError, match=r"reward model: .* can't be (loaded|read as JSON)") as refusal:
        scores(folder)
    assert "\n" not in str(refusal.value)


def test_pickled_weights_are_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = llama(tokenizer, LlamaForSequenceClassification)
    folder = save(model, tokenizer, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(GiftError, match="can't be loaded"):
        scores(folder)
