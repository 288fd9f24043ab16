"""The exit handler's task hands on KFP's word for how the pipeline ended."""

import pytest
from kfp.dsl import PipelineTaskFinalStatus

from components.finish_run.component import finish_run
from gift.stages import lifecycle


def test_the_stage_is_told_kfps_word(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(lifecycle, "finish_run", lambda *arguments: calls.append(arguments))
    status = PipelineTaskFinalStatus(
        state="COMPLETE",
        pipeline_job_resource_name="gift-post-training-abcde",
        pipeline_task_name="exit-handler-1",
        error_code=None,
        error_message=None,
    )
    finish_run.python_func(config="{}", run_id="run-1", status=status)
    assert calls == [("{}", "run-1", "COMPLETE")]
