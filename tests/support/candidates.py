"""Made-up candidates that the real gate and registration judge, for the tests of both."""

import uuid
from collections.abc import Callable
from pathlib import Path

from gift import registry
from gift.config import load_profile
from gift.data.splits import SPLITS
from gift.evaluation.answers import ANSWERS_FILE, write_answers
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, EvaluationSettings, save_results
from gift.execution.output import address
from gift.execution.stage import run_stage
from gift.gate.verdict import VERDICT_FILE, Verdict
from gift.report.schema import Report, load_report
from gift.stages.evaluate import evaluation_output
from gift.stages.evaluate_champion import evaluate_champion
from gift.stages.gate import gate
from gift.stages.register import register
from gift.stages.report import report
from gift.storage import download_directory, upload_directory
from gift.tracking import start_parent_run

PROBLEMS = 40


def made_up_result(solved: int, problems: int = PROBLEMS, task: str = "heldout") -> BenchmarkResult:
    settings = EvaluationSettings(
        lm_eval_version="0", task_version="0", fewshot_count=0, samples=1, decoding={}, precision="fp32",
        batch_size=1, limit=None, seed=0,
    )  # fmt: skip
    return BenchmarkResult(
        task=task,
        accuracy=solved / problems,
        stderr=0.1,
        n=problems,
        ids=tuple(f"p{i}" for i in range(problems)),
        correct=tuple([1.0] * solved + [0.0] * (problems - solved)),
        secondary={},
        settings=settings,
        samples=(),
    )


class Candidates:
    """Judges and registers made-up candidates of one registered model, one after the other."""

    def __init__(self, storage_uri: str, folder: Path) -> None:
        name = f"test-{uuid.uuid4().hex[:8]}"
        self.config = load_profile("local", (f"storage.uri={storage_uri}", f"registered_model={name}"))
        self.folder = folder
        self.count = 0
        self.meanwhile: Callable[[], None] = lambda: None
        """What others do between the gate and the registration."""

    def submit(self, *, sft: int, candidate: int, model: str | None = None) -> str:
        """Judge and register the `model` (a new one, if None). Returns: the version."""
        self.count += 1
        self.base = f"{self.config.storage.uri}/{self.count}"
        self.model = model or self._upload("model", {"config.json": str(self.count)})
        self.data = self._upload_data()
        self.run_id = f"test-{uuid.uuid4().hex}"
        self.shared = {
            "config": self.config.model_dump_json(),
            "run_id": self.run_id,
            "parent_run_id": start_parent_run(self.config, self.run_id),
        }
        self.sft_results = self.evaluation(f"{self.base}/sft", {"heldout": made_up_result(sft)})
        self.candidate_results = self.evaluation(self._place_of_evaluation(), {"heldout": made_up_result(candidate)})
        self.champion_uri = run_stage(evaluate_champion, **self.shared, data=self.data)
        self.verdict_uri = run_stage(
            gate,
            **self.shared,
            base_results=self.sft_results,
            sft_results=self.sft_results,
            candidate_results=self.candidate_results,
            champion=self.champion_uri,
        )
        self.meanwhile()
        return self.register_again()

    def register_again(self) -> str:
        """The task of the last candidate, as a retry would run it."""
        return run_stage(
            register,
            **self.shared,
            model=self.model,
            candidate_results=self.candidate_results,
            verdict=self.verdict_uri,
        )

    def evaluation(self, uri: str, results: dict[str, BenchmarkResult]) -> str:
        """An evaluation with these results at `uri`, which is returned."""
        folder = self.folder / f"evaluation-{uuid.uuid4().hex}"
        save_results(folder / RESULTS_FILE, results)
        write_answers(folder / ANSWERS_FILE, [])
        upload_directory(folder, uri, replace=True)
        return uri

    def verdict(self) -> Verdict:
        folder = self.folder / f"verdict-{uuid.uuid4().hex}"
        download_directory(self.verdict_uri, folder)
        return Verdict.model_validate_json((folder / VERDICT_FILE).read_text())

    def report(self, version: str) -> Report:
        """The report of the last candidate's run."""
        uri = run_stage(
            report,
            **self.shared,
            data=self.data,
            base_results=self.sft_results,
            sft_results=self.sft_results,
            candidate_results=self.candidate_results,
            champion=self.champion_uri,
            verdict=self.verdict_uri,
            model=self.model,
            version=version,
        )
        download_directory(uri, self.folder / f"report-{self.count}")
        return load_report(self.folder / f"report-{self.count}" / "report.json")

    def champion(self) -> str | None:
        found = registry.champion(self.config.registered_model)
        return found.version if found else None

    def _place_of_evaluation(self) -> str:
        """Where the evaluation of the model would be, so that it is found when the model is champion."""
        output = evaluation_output(self.config, self.data, self.model, base=False)
        return address(self.config.storage.uri, output.kind, output.decisions())

    def _upload_data(self) -> str:
        """The same for all of them."""
        uri = f"{self.config.storage.uri}/data/made-up"
        folder = self.folder / f"data-{uuid.uuid4().hex}"
        folder.mkdir()
        for split in SPLITS:
            (folder / f"{split}.jsonl").write_text("{}")
        upload_directory(folder, uri, metadata={f"rows.{split}": "1" for split in SPLITS})
        return uri

    def _upload(self, name: str, files: dict[str, str]) -> str:
        folder = self.folder / f"{name}-{self.count}"
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        upload_directory(folder, f"{self.base}/{name}")
        return f"{self.base}/{name}"
