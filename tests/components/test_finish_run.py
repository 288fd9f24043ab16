"""The exit handler's task: which of KFP's words for a task's state mean success."""

import pytest
from kfp.dsl import PipelineTaskFinalStatus

from components.finish_run.component import finish_run
from gift.stages import lifecycle


@pytest.mark.parametrize(
    ("state", "succeeded"),
    [
        ("SUCCEEDED", True),  # kfp.local
        ("COMPLETE", True),  # KFP's backend
        ("FAILED", False),
        ("RUNNING", False),  # KFP's backend, where a task was killed before it could say that it failed
        ("CANCELED", False),
    ],
)
def test_only_success_finishes_a_run(monkeypatch: pytest.MonkeyPatch, state: str, succeeded: bool) -> None:
    calls = []
    monkeypatch.setattr(lifecycle, "finish_run", lambda config, run_id, succeeded: calls.append(succeeded))
    status = PipelineTaskFinalStatus(
        state=state,
        pipeline_job_resource_name="gift-post-training-abcde",
        pipeline_task_name="exit-handler-1",
        error_code=None,
        error_message=None,
    )
    finish_run.python_func(config="{}", run_id="run-1", status=status)
    assert calls == [succeeded]
