"""Run by the ranks: tiny Llamas that go on from what other ranks have left, and leave it anew.

Each case says how it is spread, from which checkpoint of how many ranks it begins (or from none), and which updates it
takes then. It leaves what it has begun with in begun/, and what it ends with in end/: DeepSpeed's own checkpoint, which
knows nothing of our code, and ours; and with them what the model says, and the learning rate.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from safetensors.torch import save_file
from train_tiny_llamas import take_update
from transformers import AutoModelForCausalLM

from gift.config import ComputeConfig, OptimizerConfig
from gift.training.checkpoint import load_checkpoint, save_checkpoint
from gift.training.engine import build_engine, initialize_ranks


def main(job: dict) -> None:
    batches = torch.tensor(job["batches"])  # (update, sequences, T)
    for case in job["cases"]:
        compute, output = ComputeConfig(**case["compute"]), Path(case["output"])
        initialize_ranks(compute)
        model = AutoModelForCausalLM.from_pretrained(job["template"], dtype=torch.float32)
        engine = build_engine(model, compute, OptimizerConfig(**job["optimizer"]), len(batches))
        if case["begin"]:
            load_checkpoint(engine, Path(case["begin"]), range(case["written_by"]), case["written_by"])
        leave(engine, output / "begun", batches)
        for update in case["updates"]:
            # Each rank two sequences at a time, as many micro-batches as that makes.
            take_update(engine, batches[update].reshape(-1, compute.ranks, 2, batches.shape[-1]))
        leave(engine, output / "end", batches)
        engine.destroy()


def leave(engine: DeepSpeedEngine, folder: Path, batches: torch.Tensor) -> None:
    save_checkpoint(engine, folder / "ours")
    engine.save_checkpoint(str(folder), tag="step")
    engine.eval()
    with torch.no_grad():
        logits = engine(input_ids=batches[0, :2]).logits
    engine.train()
    if dist.get_rank() == 0:
        said = {"logits": logits.contiguous(), "learning_rate": torch.tensor(engine.get_lr(), dtype=torch.float64)}
        save_file(said, folder / "said.safetensors")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
