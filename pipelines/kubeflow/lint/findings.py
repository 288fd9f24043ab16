"""What a rule finds, and what a user may decide about the rules."""

from dataclasses import dataclass

SIDE_EFFECTS = ("start-run", "finish-run", "gate", "register", "report", "notify")
"""Components that act on something outside of the pipeline, so that skipping them is wrong."""
MAX_BYTES = 700_000
"""Of the IR. KFP stores 32 MB, but turns it into an Argo Workflow of about the same size; its own source says (at
`PipelineVersion.PipelineSpec`): "Argo imposes 700kB limit". etcd refuses requests above 1.5 MiB."""


@dataclass(frozen=True)
class Finding:
    """Something that compiles, and fails or misleads later."""

    where: str
    """The task (`exit-handler-1/train-sft`), the parameter, or `pipeline`."""
    wrong: str
    todo: str


@dataclass(frozen=True)
class LintSettings:
    """What the rules can't know."""

    max_bytes: int = MAX_BYTES
    side_effects: tuple[str, ...] = SIDE_EFFECTS
    """Names of components; one that begins with such a name and a dash counts too (`notify-slack`)."""
