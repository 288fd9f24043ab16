"""What every part of the configuration is made of: a closed, immutable section, and checked scalar types."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=200)]
"""A name that needs no quoting anywhere and that Unicode does not write in two ways.

MLflow's tables hold 256 characters of an experiment's or a registered model's, and 250 of a metric's, in which a
reward's name is a part.
"""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
"""A whole git commit of the hub, so that a branch that moves can't change a run."""
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""`package.module:function`."""
LARGEST = 2**53
"""Of whole numbers: every product of a few of them is a float."""
Count = Annotated[int, Field(ge=0, le=LARGEST)]
PositiveInt = Annotated[int, Field(gt=0, le=LARGEST)]
SeveralProblems = Annotated[int, Field(ge=2, le=LARGEST)]
"""The score of one problem has no standard error."""
MOST_TOGETHER = 2**17
"""Of prompts in a batch, and of responses in a group: a dry run looks at each."""
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
SomeShare = Annotated[float, Field(gt=0, le=1)]
HOURS_OF_A_YEAR = 8760
"""No run lasts longer. Timers, Kubernetes and KFP each refuse other large numbers, and only when they meet them."""
Hours = Annotated[float, Field(gt=0, le=HOURS_OF_A_YEAR)]
Minutes = Annotated[float, Field(gt=0, le=60 * HOURS_OF_A_YEAR)]
Seconds = Annotated[float, Field(gt=0, le=3600 * HOURS_OF_A_YEAR)]
Gib = Annotated[float, Field(gt=0, le=100_000)]
"""Of memory or disk that something is given."""


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
