"""KFP 2.17's MLflow plugin as MLflow and a task's environment notice it: its runs, their tags, and the variables.

KFP opens a run for the pipeline run (tag `kfp.pipeline_run_id`), one below it for the DAG of the exit handler, and one
below that for each task. It ends a DAG's run at once, a task's when the task ends, and the root when the run does.
"""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from gift.errors import GiftError

STATES = {"COMPLETE": "FINISHED", "FAILED": "FAILED"}


class KfpPlugin:
    """The API server, drivers and launchers of one pipeline run, as far as MLflow notices them."""

    def __init__(self, environment: pytest.MonkeyPatch, uri: str, run_id: str) -> None:
        self.client = MlflowClient(uri)
        self.run_id, self._environment = run_id, environment
        self.experiment_id = self.client.create_experiment(f"KFP-Default-{run_id}")
        tags = {"kfp.pipeline_run_id": run_id, "kfp.pipeline_run_url": ""}
        self.root = self.client.create_run(self.experiment_id, tags=tags, run_name="gift").info.run_id
        self.dag = self._nest(self.root, "exit-handler-1")
        self.client.set_terminated(self.dag, "FINISHED")  # by the driver, before the tasks start
        environment.setenv("GIFT_MLFLOW_TRACKING_URI", "http://nobody:5000")
        environment.setenv("MLFLOW_TRACKING_URI", uri)
        environment.setenv("MLFLOW_EXPERIMENT_ID", self.experiment_id)

    def drive(self, task: str, above: str | None = None) -> str:
        """Open the task's run and name it to what comes next."""
        opened = self._nest(above or self.dag, task)
        self._environment.setenv("MLFLOW_RUN_ID", opened)
        return opened

    def launch(self, task: str, work: Callable[[], Any]) -> str:
        """A task from its driver to its launcher's end; what it returns or raises is KFP's own matter."""
        opened = self.drive(task)
        self.again(opened, work)
        return opened

    def again(self, opened: str, work: Callable[[], Any]) -> None:
        """An attempt: Argo starts a pod again with the environment that it had."""
        state = "FAILED"
        try:
            work()
            state = "COMPLETE"
        except (GiftError, RuntimeError, SystemExit):
            pass
        self.client.log_param(opened, "run_id", f'"{self.run_id}"')
        self.client.set_terminated(opened, STATES[state])

    def all_runs(self) -> list[Run]:
        return list(self.client.search_runs([self.experiment_id]))

    def _nest(self, above: str, name: str) -> str:
        tags = {"mlflow.parentRunId": above}
        return str(self.client.create_run(self.experiment_id, tags=tags, run_name=name).info.run_id)
