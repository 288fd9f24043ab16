"""Tiny Llamas for the tests of training: templates, batches and real training runs on two ranks."""

import json
import os
from pathlib import Path
from unittest import mock

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gift.config import ComputeConfig
from gift.launch.one_node import launch_ranks

ROOT = Path(__file__).parents[2]
VOCABULARY = 4099  # x hidden size 33: an odd count, above DeepSpeed's limit for what ZeRO-3 leaves whole
OPTIMIZER = {
    "learning_rate": 0.01,
    "weight_decay": 0.1,
    "gradient_clipping": 0.5,
    "warmup_steps": 1,
    "schedule": "linear",
    "final_fraction": 0.5,
}


def write_template(folder: Path, *, tied: bool, hidden_size: int = 33) -> Path:
    """A model folder with random weights (always the same) and a tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden_size,
        head_dim=8,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=3,
        tie_word_embeddings=tied,
        eos_token_id=0,
        bos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({"<eos>": 0, "one": 1}, unk_token="<eos>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>").save_pretrained(folder)
    return folder


def batches() -> torch.Tensor:
    """Token ids of 3 updates x 2 micro-batches x 2 ranks x 2 sequences x 8 tokens."""
    return torch.randint(VOCABULARY, (3, 2, 2, 2, 8), generator=torch.Generator().manual_seed(1))


def train(folder: Path, cases: dict[str, tuple[Path, dict]]) -> None:
    """Train every case (a template and its compute configuration) on two ranks, each into `<folder>/<case>`."""
    job = {
        "optimizer": OPTIMIZER,
        "batches": batches().tolist(),
        "cases": [
            {"template": str(template), "compute": compute, "output": str(folder / name)}
            for name, (template, compute) in cases.items()
        ],
    }
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job))
    # An empty PATH proves that nothing is compiled when training starts.
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent / 'ranks'}", "PATH": ""}
    with mock.patch.dict(os.environ, environment):
        launch_ranks("train_tiny_llamas", job_file, ComputeConfig(device="cpu"))
