"""Stage: one model → lm-eval benchmark results."""

from collections.abc import Callable
from pathlib import Path

from gift.config import RunConfig
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results, save_results
from gift.execution.output import Output
from gift.execution.stage import Stage
from gift.host.lean_imports import lean_imports
from gift.progress import Progress

BASE = "evaluate-base"
"""The stage that asks the base model."""


def evaluation_output(config: RunConfig, data: str, model: str, *, base: bool) -> Output:
    """Args: `base` is whether the model is the base model, which alone is asked some benchmarks."""
    settings = {
        "evaluation": config.evaluation.of_model(base=base),
        "prompt": config.prompt_format,
        "seed": config.seed,
        "compute.device": config.compute.device,
    }
    unused = {"peft"} if config.evaluation.engine == "vllm" else {"peft", "vllm"}  # adapters are merged by now
    return Output("evaluations", __name__, settings, {"data": data, "model": model}, unused=unused)


def evaluate(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a folder with results.json and answers.parquet."""
    base = stage.name == BASE
    config = stage.config.evaluation.of_model(base=base)
    prompt, seed = stage.config.prompt_format, stage.config.seed
    setting = stage.config.compute.device

    def make(folder: Path) -> dict[str, str]:
        with lean_imports():  # takes seconds, which a reused output need not wait
            from gift.evaluation.decoders import open_decoder  # noqa: F401 (lm-eval, below, may load what this need not)
            from gift.models.device import choose_device, slow_bf16
            from gift.models.host_memory import use_large_pages
        from gift.evaluation.answers import ANSWERS_FILE, write_answers
        from gift.evaluation.harness import evaluate_model

        use_large_pages()
        device = choose_device(setting)
        if slow := slow_bf16(device, config.precision, "evaluation.precision"):
            print(f"  {slow}", flush=True)
        with stage.fetched(data, model) as (data_folder, model_folder):
            results, answers = evaluate_model(
                model_folder, data_folder, config, prompt, seed, device, progress=_live_lines()
            )
        write_answers(folder / ANSWERS_FILE, answers)
        save_results(folder / RESULTS_FILE, results)
        return {}

    uri = stage.make_once(evaluation_output(stage.config, data, model, base=base), make)
    stage.log_files(uri)
    for task, result in read_results(stage, uri).items():
        stage.tracking.log_metrics({f"{task}/accuracy": result.accuracy, f"{task}/stderr": result.stderr})
        print(f"  {task}: {result.accuracy:.1%} ± {result.stderr:.1%} (n = {result.n})", flush=True)
    return uri


def read_results(stage: Stage, evaluation: str) -> dict[str, BenchmarkResult]:
    """By benchmark, of the URI that `evaluate` returned."""
    with stage.fetched(evaluation, wanted=(RESULTS_FILE,)) as (folder,):
        return load_results(folder / RESULTS_FILE, origin=f"{evaluation}/{RESULTS_FILE}")


def _live_lines() -> Callable[[str, int, int], None]:
    """(task, done, total) → one live line per task."""
    lines: dict[str, Progress] = {}

    def show(task: str, done: int, total: int) -> None:
        if task not in lines:
            lines[task] = Progress(task, total)
        lines[task].update(done, ())

    return show
