"""What a stage returns, among the outputs of its task: the one that other tasks take.

The others are typed artifacts, which are for KFP's page alone; with them a task has no single `.output` any more.
"""

from typing import Any

from kfp.dsl import PipelineTask

RETURNED = "Output"
"""kfp's name for what a function returns."""


def result_of(task: PipelineTask) -> Any:
    """The URI, or word, that the stage of the task returns."""
    return task.outputs[RETURNED]
