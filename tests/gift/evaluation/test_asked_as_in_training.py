"""Training and benchmark ask with the same token ids, end at the same tokens, and read the same text."""

from pathlib import Path
from typing import Any

import pytest
import torch
from rote_model import CONTEXT, KEYS, PROMPT, evaluation, no_progress, says
from torch import Tensor
from transformers import LlamaForCausalLM

from gift.config import PromptFormat, RolloutConfig
from gift.data.problems import Problem, write_problems
from gift.data.tokens import response_texts, tokenize_prompts
from gift.evaluation import decoders
from gift.evaluation.harness import evaluate_model
from gift.evaluation.language_model import LanguageModel
from gift.evaluation.results import BenchmarkResult
from gift.models.ends import response_ends
from gift.models.generation import generate
from gift.models.loading import load_model, load_tokenizer
from gift.rewards.gsm8k import gsm8k_reward
from gift.rollout.transformers import TransformersEngine

CPU = torch.device("cpu")
RAW, CHAT = PromptFormat(template=PROMPT), PromptFormat(template="chat", system="Be brief.")
HELDOUT = {"task": "heldout", "max_new_tokens": 24}
TEMPLATE = (
    "{% for m in messages %}<|eos|>{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|eos|>assistant:{% endif %}"
)


def run(folder: Path, benchmarks: Path, prompt: PromptFormat, *tasks: dict[str, Any]) -> dict[str, BenchmarkResult]:
    return evaluate_model(folder, benchmarks, evaluation(*tasks), prompt, 0, CPU, no_progress)[0]


@pytest.fixture
def instruct_model(model: Path, tmp_path: Path) -> Path:
    """The model that knows the keys; its end is not its tokenizer's, but named in generation_config.json alone."""
    folder = tmp_path / "instruct"
    network, tokenizer = LlamaForCausalLM.from_pretrained(model), load_tokenizer(model)
    network.generation_config.eos_token_id = [tokenizer.eos_token_id]
    network.config.eos_token_id = None
    network.generation_config.pad_token_id = None
    network.save_pretrained(folder)
    tokenizer.eos_token = tokenizer.pad_token
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_ends_with_a_token_of_its_own_ends_everywhere(instruct_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(instruct_model)
    ends = response_ends(instruct_model, tokenizer, RAW)
    assert ends == (0, 1)
    config = RolloutConfig(group_size=2, temperature=0.01, max_prompt_tokens=CONTEXT, max_new_tokens=24)
    engine = TransformersEngine(config, ends=ends, pad=tokenizer.pad_token_id)
    engine.refresh(load_model(instruct_model, torch.float32, torch.float32, CPU))
    rollouts = engine.sample(tokenize_prompts(tokenizer, KEYS, RAW, CONTEXT), 1, seed=0)
    last = rollouts.response_mask.sum(dim=1) - 1
    assert rollouts.response_ids.gather(1, last[:, None]).flatten().tolist() == [1] * len(KEYS)
    texts = response_texts(tokenizer, rollouts.response_ids, rollouts.response_mask, ends)

    write_problems(tmp_path / "heldout.jsonl", KEYS)
    result = run(instruct_model, tmp_path, RAW, HELDOUT)["heldout"]
    assert [sample.completion for sample in result.samples] == texts[:6] == [f" {p.answer}" for p in KEYS[:6]]
    assert result.correct == tuple(map(gsm8k_reward, texts, KEYS)) == (1.0,) * len(KEYS)


@pytest.fixture
def chat_model(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "chat"
    network = LlamaForCausalLM.from_pretrained(model)
    network.config.max_position_embeddings = 4096  # for lm-eval's five examples
    network.save_pretrained(folder)
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("prompt", [RAW, CHAT], ids=["plain", "chat"])
def test_the_benchmark_asks_with_the_ids_of_training(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: PromptFormat
) -> None:
    problems = [Problem("special", "What is <|eos|>?", "", "1"), Problem("usual", "Which key?", "", "2")]
    write_problems(tmp_path / "heldout.jsonl", problems)
    seen: list[list[int]] = []

    def record(model: Any, prompt_ids: Tensor, prompt_mask: Tensor, *others: Any) -> Tensor:
        seen.extend(ids[mask].tolist() for ids, mask in zip(prompt_ids, prompt_mask, strict=True))
        return generate(model, prompt_ids, prompt_mask, *others)

    monkeypatch.setattr(decoders, "generate", record)
    result = run(chat_model, tmp_path, prompt, HELDOUT)["heldout"]
    tokenizer = load_tokenizer(chat_model)
    assert sorted(seen) == sorted(tokenize_prompts(tokenizer, problems, prompt, CONTEXT))
    assert [ids.count(tokenizer.eos_token_id) for ids in seen] == [3 if prompt.chat else 0] * 2
    assert result.settings.asked_in == ("the model's chat template" if prompt.chat else "plain text")


def test_a_chat_asks_lm_evals_own_tasks_in_the_template(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [Problem(f"t{i}", f"Train question {i}?", f"Step.\n#### {i}", str(i)) for i in range(8)]
    for split in ("train", "test"):
        write_problems(tmp_path / "gsm8k" / f"{split}.jsonl", problems)
    contexts: list[str] = []
    ids: list[list[int]] = []

    def answer(self: LanguageModel, asked: list[Any]) -> list[str]:
        contexts.extend(request.args[0] for request in asked)
        ids.extend(self.token_ids(contexts))
        return ["" for _ in asked]

    says(monkeypatch, answer)
    run(chat_model, tmp_path, CHAT, {"task": "gsm8k", "limit": 2, "max_new_tokens": 8})
    assert contexts[0].startswith("<|eos|>system: Be brief.\n<|eos|>user: Question: Train question")
    assert contexts[0].endswith("Question: Train question 0?\nAnswer:\n<|eos|>assistant:")
    assert ids[0].count(load_tokenizer(chat_model).eos_token_id) == 3


@pytest.mark.parametrize("answers", [["2024-01-05", "2023-12-31"], ["12:30", "01:15"], ["1e5", "2"], ["true", "false"]])
def test_answers_stay_the_texts_that_they_are(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    write_problems(tmp_path / "heldout.jsonl", [Problem(f"p{i}", f"{i}?", "", text) for i, text in enumerate(answers)])
    says(monkeypatch, lambda _, asked: ["#### 1" for _ in asked])
    result = run(model, tmp_path, RAW, HELDOUT)["heldout"]
    assert [sample.final_answer for sample in result.samples] == answers
