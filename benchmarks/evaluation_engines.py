"""How long an evaluation takes with each engine: transformers and vLLM answer the same problems with the same weights.

    python benchmarks/evaluation_engines.py --profile smollm2-gsm8k [--task gsm8k] [--problems 200] [--rounds 1]

The whole of `gift.evaluation.harness.evaluate_model`, vLLM's start included, by turns and each in a process of its own.
Prints wall time and processor time (children included), medians over rounds, their ratio, and both accuracies.

Left out: several GPUs, and the stages around an evaluation.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from gift.config import RunConfig, load_profile

ENGINES = ("transformers", "vllm")
USED = "evaluated: "


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--task", default="gsm8k")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--once", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(USED + json.dumps(_evaluate(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        _prepare(_config(arguments), Path(scratch))
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
        for round_ in range(arguments.rounds):
            for name in ENGINES if round_ % 2 == 0 else reversed(ENGINES):
                own = [sys.executable, __file__, *sys.argv[1:], "--once", name, "--folder", scratch]
                output = subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
                (line,) = [line for line in output.splitlines() if line.startswith(USED)]
                found[name].append(json.loads(line.removeprefix(USED)))
                print(name, found[name][-1], flush=True)
    for what in ("seconds", "cpu_seconds"):
        one, other = (median(run[what] for run in found[name]) for name in ENGINES)
        print(f"{what}: transformers {one:.1f}, vLLM {other:.1f}, vLLM ÷ transformers {other / one:.2f}")


def _config(arguments: argparse.Namespace) -> RunConfig:
    benchmark = f"{{task: {arguments.task}, limit: {arguments.problems}, max_new_tokens: 256}}"
    gate = f"gate.benchmarks=[{{benchmark: {arguments.task}, at_least: 0.0}}]"
    chosen = f"evaluation.engine={arguments.once or ENGINES[0]}"
    return load_profile(arguments.profile, (f"evaluation.benchmarks=[{benchmark}]", gate, chosen))


def _prepare(config: RunConfig, folder: Path) -> None:
    from gift.data.prepare import write_data
    from gift.data.problems import read_problems
    from gift.models.base_model import write_base_model

    write_data(config, folder / "data")
    (folder / "model").mkdir()
    write_base_model(config, read_problems(folder / "data/sft.jsonl"), folder / "model")


def _evaluate(arguments: argparse.Namespace) -> dict[str, float]:
    from gift.evaluation.harness import evaluate_model
    from gift.models.device import choose_device

    config = _config(arguments)
    started = time.monotonic()
    results, answers = evaluate_model(
        arguments.folder / "model",
        arguments.folder / "data",
        config.evaluation,
        config.prompt_format,
        config.seed,
        choose_device(config.compute.device),
        lambda *_: None,
    )
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in used), 1),
        "accuracy": results[arguments.task].accuracy,
        "tokens": float(sum(answer.tokens for answer in answers)),
    }


if __name__ == "__main__":
    main()
