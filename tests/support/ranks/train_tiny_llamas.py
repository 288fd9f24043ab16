"""Run by the ranks: trains one tiny Llama per case and leaves its checkpoint and rank 0's measurements.

What DeepSpeed itself writes is beside ours; it knows nothing of our code, and is what ours is compared with.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from gift.config import ComputeConfig, OptimizerConfig
from gift.training.checkpoint import load_checkpoint, save_checkpoint
from gift.training.engine import (
    build_engine,
    gathered_parameters,
    gradient_norm,
    initialize_ranks,
    largest_weight,
    micro_batch,
)
from gift.training.shards import save_weights


def main(job: dict) -> None:
    for case in job["cases"]:
        run_case(Path(case["template"]), Path(case["output"]), ComputeConfig(**case["compute"]), job)


def run_case(template: Path, output: Path, compute: ComputeConfig, job: dict) -> None:
    device = initialize_ranks(compute)
    batches = torch.tensor(job["batches"], device=device)  # (update, accumulation, rank, B, T)
    updates = len(batches)
    optimizer = OptimizerConfig(**job["optimizer"])
    model = AutoModelForCausalLM.from_pretrained(template, dtype=torch.float32)
    shapes = [parameter.shape for parameter in model.parameters()]
    engine = build_engine(model, compute, optimizer, updates)
    norms, whole = [], True
    for step, update in enumerate(batches):
        if step == 1:
            save_checkpoint(engine, output / "early" / "ours")
            engine.save_checkpoint(str(output / "early"), tag="step-1")
        take_update(engine, update)
        norms.append(gradient_norm(engine))
        with gathered_parameters(engine):
            whole &= [parameter.shape for parameter in engine.module.parameters()] == shapes
            # Each rank stops after another number of tokens: a collective per token would hang here.
            engine.module.generate(
                update[-1, dist.get_rank(), :1], max_new_tokens=2 + 3 * dist.get_rank(), do_sample=False, pad_token_id=0
            )
    engine.save_checkpoint(str(output), tag=f"step-{updates}")
    save_checkpoint(engine, output / "ours")
    save_weights(engine, output / "weights")
    engine.eval()
    with torch.no_grad():
        logits = engine(input_ids=batches[0, 0, 0]).logits
    largest = largest_weights(engine)
    if dist.get_rank() == 0:
        save_file({"logits": logits.contiguous()}, output / "logits.safetensors")
        measured = {"gradient_norms": norms, "parameters_whole": whole, "largest_weights": largest}
        (output / "measured.json").write_text(json.dumps(measured))
    engine.destroy()
    resume_case(template, output, compute, optimizer, batches)


def largest_weights(engine: DeepSpeedEngine) -> list[float]:
    """As trained, with every sign turned, and with one number of one rank that is none; the weights are spoilt then."""
    parts = [getattr(parameter, "ds_tensor", parameter).detach() for parameter in engine.module.parameters()]
    for parameter, part in zip(engine.module.parameters(), parts, strict=True):
        if hasattr(parameter, "ds_tensor"):  # what fills up the last part may be anything
            part.view(-1)[max(0, parameter.ds_numel - part.numel() * dist.get_rank()) :] = 1e9
    found = [largest_weight(engine)]
    for part in parts:
        part.neg_()
    found.append(largest_weight(engine))
    if dist.get_rank() == 1:
        parts[-1].view(-1)[0] = torch.nan
    return [*found, largest_weight(engine)]


def take_update(engine: DeepSpeedEngine, update: torch.Tensor) -> None:
    """On the mean of the micro-batches' losses; (accumulation, rank, B, T) token ids."""
    for index, ids_of_ranks in enumerate(update, start=1):
        ids = ids_of_ranks[dist.get_rank()]
        with micro_batch(engine, last=index == len(update)):
            engine.backward(engine(input_ids=ids, labels=ids).loss / len(update))


def resume_case(
    template: Path, output: Path, compute: ComputeConfig, optimizer: OptimizerConfig, batches: torch.Tensor
) -> None:
    """Train all updates but the first from the early checkpoint, with a new engine."""
    updates = len(batches)
    model = AutoModelForCausalLM.from_pretrained(template, dtype=torch.float32)
    engine = build_engine(model, compute, optimizer, updates)
    load_checkpoint(engine, output / "early" / "ours", [dist.get_rank()], 2)
    for update in batches[1:]:
        take_update(engine, update)
    engine.save_checkpoint(str(output / "resumed"), tag=f"step-{updates}")
    save_weights(engine, output / "resumed" / "weights")
    engine.destroy()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
