"""A tiny Llama that learns by rote what it answers, and how to evaluate it, so that every score is known beforehand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gift.config import EvaluationConfig, PromptFormat
from gift.data.problems import Problem, prompt_text
from gift.data.tokenizer import train_tokenizer
from gift.data.tokens import pad_right, tokenize_demonstrations
from gift.evaluation.answers import Answer
from gift.evaluation.harness import evaluate_model
from gift.evaluation.language_model import CompletedPrompt, LanguageModel
from gift.evaluation.results import BenchmarkResult

CONTEXT = 1024
PROMPT = "Question: {question}\nAnswer:"
# Questions of different lengths, so that batches are padded.
KEYS = [
    Problem(
        f"key/{i}", f"Which key opens {'the old ' * (i % 4)}box {i}?", f"It is this.\n#### {7 * i + 3}", str(7 * i + 3)
    )
    for i in range(8)
]
COINS = [Problem(f"coin/{i}", f"Toss coin {i}.", "#### 1", "1") for i in range(8)]


def no_progress(*_progress: Any) -> None:
    """For tests that are about something else."""


def evaluation(*benchmarks: dict[str, Any], batch_size: int = 8, **settings: Any) -> EvaluationConfig:
    return EvaluationConfig.model_validate(
        {"benchmarks": benchmarks, "batch_size": batch_size, "threads": 1} | settings
    )


def evaluate(
    model: Path, benchmarks: Path, config: EvaluationConfig, seed: int, progress: Any, prompt: str = PROMPT
) -> dict[str, BenchmarkResult]:
    return evaluate_with_answers(model, benchmarks, config, seed, progress, prompt)[0]


def evaluate_with_answers(
    model: Path, benchmarks: Path, config: EvaluationConfig, seed: int, progress: Any, prompt: str = PROMPT
) -> tuple[dict[str, BenchmarkResult], list[Answer]]:
    return evaluate_model(model, benchmarks, config, PromptFormat(template=prompt), seed, torch.device("cpu"), progress)


def says(monkeypatch: pytest.MonkeyPatch, answer: Callable[[LanguageModel, Any], list[str]]) -> None:
    """From now on every model answers lm-eval's requests with these texts."""

    def complete(model: LanguageModel, requests: Any) -> list[CompletedPrompt]:
        return [CompletedPrompt(text) for text in answer(model, requests)]

    monkeypatch.setattr(LanguageModel, "complete", complete)


def write_rote_model(folder: Path) -> None:
    """Knows the key of every box, and answers a coin with 1 or 2, half of the time each."""
    torch.manual_seed(0)
    tails = [Problem(coin.id, coin.question, "#### 2", "2") for coin in COINS]
    lessons = [*KEYS, *COINS, *tails]
    tokenizer = train_tokenizer((prompt_text(p.question, PROMPT) + p.answer for p in lessons), 300)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,  # vLLM on a CPU has no smaller heads than of 32
            max_position_embeddings=CONTEXT,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    demonstrations = tokenize_demonstrations(tokenizer, lessons, PromptFormat(template=PROMPT), CONTEXT)
    ids, mask = pad_right([d.prompt + d.completion for d in demonstrations], tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(150):
        loss = network(input_ids=ids, attention_mask=mask.long(), labels=ids.masked_fill(~mask, -100)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
