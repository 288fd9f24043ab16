"""Registered versions with real, small checkpoints in S3, as a run's stages leave them."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from candidates import made_up_result
from safetensors.numpy import save_file

from gift import registry
from gift.evaluation.results import RESULTS_FILE, save_results
from gift.gate.verdict import VERDICT_FILE, Decision, Verdict
from gift.storage import upload_directory


class StoredVersions:
    """Versions of one registered model that no other test uses; `storage` is a prefix in S3."""

    def __init__(self, storage: str, folder: Path) -> None:
        self.storage = storage
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.lock = f"{storage}/locks/champion/{self.name}"
        self._folder = folder
        self._count = 0

    def add(
        self, *, weights: Mapping[str, np.ndarray] | None = None, tags: Mapping[str, str] | None = None,
        gate: Decision | None = "promote", solved: int = 20,
    ) -> str:  # fmt: skip
        """A version whose checkpoint has a shard for each of `weights`; `gate` is the verdict, or None without one."""
        folder = self._new("model")
        (folder / "config.json").write_text(f'{{"number": {self._count}}}')
        for name, values in (weights or {"a": np.ones(3, np.float32)}).items():
            save_file({name: values}, folder / f"model-{name}.safetensors")
        return self.add_folder(folder, tags=tags, gate=gate, solved=solved)

    def add_folder(
        self, folder: Path, *, tags: Mapping[str, str] | None = None, gate: Decision | None = "promote",
        solved: int = 20,
    ) -> str:  # fmt: skip
        """The same for a model folder that is there."""
        self._count += 1
        run = f"run-{self._count}"
        uri = f"{self.storage}/models/{self._count}"
        self.source = upload_directory(folder, uri).folder(uri)
        own = {
            "gift.run_id": run,
            registry.EVALUATION_TAG: self._evaluation(solved),
            registry.REPORT_TAG: f"{self.storage}/runs/{run}/report",
        }
        if gate is not None:
            own[registry.VERDICT_TAG] = self._verdict(gate)
        return registry.register_version(self.name, self.source, "", own | dict(tags or {}), self.lock)

    def champion(self) -> str | None:
        return registry.registered_model(self.name).reigning

    def history(self) -> list[tuple[str | None, str]]:
        """(version, how) of each line."""
        return [(move.version, move.kind) for move in registry.registered_model(self.name).history]

    def _verdict(self, decision: Decision) -> str:
        verdict = Verdict(decision=decision, sentence="Decided.", reasons=("It solves less.",), benchmarks=())
        folder = self._new("verdict")
        (folder / VERDICT_FILE).write_text(verdict.model_dump_json())
        return self._upload(folder, f"runs/{self._count}/verdict")

    def _evaluation(self, solved: int) -> str:
        folder = self._new("evaluation")
        save_results(folder / RESULTS_FILE, {"heldout": made_up_result(solved)})
        return self._upload(folder, f"evaluations/{self._count}")

    def _new(self, name: str) -> Path:
        folder = self._folder / f"{name}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        return folder

    def _upload(self, folder: Path, place: str) -> str:
        upload_directory(folder, f"{self.storage}/{place}")
        return f"{self.storage}/{place}"
