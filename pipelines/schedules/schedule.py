"""Recurring runs as files: `schedules/<name>.yaml` says what runs when, pinned to a commit and to an image.

Everything that decides a run is in the file or fixed by it: the code by `git_sha`, the packages by the digest of
`image`, the configuration by `profile` and `overrides` as they are at that commit. What KFP makes of such a file is in
`pipelines.schedules.plan`.

Left out: a time zone per schedule, which KFP does not have (see `pipelines.schedules.cron`), and intervals in seconds.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator

from gift.config import digest_of
from gift.config.cluster import IMAGE_BY_DIGEST, KubernetesName
from gift.config.section import Commit, Section
from gift.config.yaml_text import read_yaml
from gift.errors import GiftError
from pipelines.schedules.cron import check_cron

NAME = r"^[A-Za-z0-9][\w.-]*$"
LONGEST_NAME = 80
"""KFP keeps at most 255 characters of a description, which holds the name."""


class Schedule(Section):
    """One recurring run."""

    description: str = ""
    """For people; it is not compared with the cluster."""
    profile: Annotated[str, Field(pattern=NAME)]
    """A name from `gift profiles`, as it is at `git_sha`."""
    overrides: tuple[str, ...] = ()
    """`key=value` settings, as `gift run --set` takes them."""
    git_sha: Commit
    """The commit that the pipeline is compiled from."""
    image: Annotated[str, Field(pattern=IMAGE_BY_DIGEST)]
    """The image of all stages, by digest: registry/name@sha256:<64 hex digits>."""
    service_account: KubernetesName | None = None
    """Account of the runs' pods; None leaves it to KFP."""
    cron: str
    """second minute hour day-of-month month day-of-week, in the time zone of KFP's controller (UTC unless set)."""
    max_concurrency: Annotated[int, Field(ge=1, le=10)] = 1
    """How many of its runs may be active; KFP starts no further one meanwhile."""
    catch_up: bool = False
    """Whether every start that was missed, while the schedule was disabled or its runs too many, is made up for."""
    enabled: bool
    start_time: AwareDatetime | None = None
    """Nothing starts before; a time that has passed is not sent to KFP, which would make up for all starts since."""
    end_time: AwareDatetime | None = None
    """Nothing starts after."""

    @field_validator("profile")
    @classmethod
    def profile_is_of_the_commit(cls, profile: str) -> str:
        if profile.endswith((".yaml", ".yml")):
            raise ValueError(
                f"must be a name from `gift profiles`, and no file, which git_sha does not pin: {profile!r}"
            )
        return profile

    @field_validator("cron")
    @classmethod
    def cron_is_what_kfp_takes(cls, cron: str) -> str:
        return check_cron(cron)

    @field_validator("start_time", "end_time", mode="before")
    @classmethod
    def times_are_no_seconds_since_1970(cls, time: Any) -> Any:
        if not isinstance(time, str):
            return time
        try:
            return datetime.fromisoformat(time)
        except ValueError:
            raise ValueError(f"must be a time such as 2027-01-01T00:00:00Z (got {time!r})") from None

    @field_validator("start_time", "end_time")
    @classmethod
    def times_are_compared_as_kfp_keeps_them(cls, time: datetime | None) -> datetime | None:
        try:
            return time and time.astimezone(UTC).replace(microsecond=0)
        except OverflowError:
            raise ValueError(f"must lie between the years 1 and 9999 in UTC (got {time})") from None

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Self:
        if self.start_time and self.end_time and self.end_time <= self.start_time:
            raise ValueError("end_time must be after start_time")
        return self

    @property
    def placeholders(self) -> list[str]:
        """The pins that still are the zeros of an example."""
        zeros = {"git_sha": self.git_sha, "image": self.image.rpartition(":")[2]}
        return [key for key, value in zeros.items() if not value.strip("0")]

    def digest(self) -> str:
        """Identifies all that a recurring run can't change without being replaced: everything but `enabled`."""
        return digest_of(self.model_dump(mode="json", exclude={"enabled", "description"}))[:16]

    def start_to_send(self, now: datetime) -> datetime | None:
        """`start_time` where it lies ahead of `now`."""
        return self.start_time if self.start_time and self.start_time > now else None


def load_schedules(folder: Path) -> dict[str, Schedule]:
    """All schedules of a folder, by name (the file's name without .yaml), sorted.

    Raises:
        GiftError: the folder does not exist, two files have the same name, or a file is not a valid schedule.
    """
    if not folder.is_dir():
        raise GiftError(f"there is no folder {folder}; --schedules names the one with the schedules")
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")):
        if path.stem.lower() in files:
            raise GiftError(f"{files[path.stem.lower()]} and {path} are both schedule {path.stem}; rename one")
        files[path.stem.lower()] = path
    return {path.stem: _load(path) for path in files.values()}


def _load(path: Path) -> Schedule:
    if not re.fullmatch(NAME, path.stem) or len(path.stem) > LONGEST_NAME:
        raise GiftError(f"{path}: the name may have at most {LONGEST_NAME} letters, digits, dots and hyphens")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise GiftError(f"{path} must hold the keys of a schedule, such as profile, git_sha, image and cron")
    try:
        return Schedule.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise GiftError(f"{path}: " + "; ".join(_explain(fault) for fault in error.errors())) from None


def _explain(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "schedule"
    key = key if key.isprintable() else repr(key)
    match fault["type"]:
        case "extra_forbidden":
            return f"{key} is not a known key"
        case "missing":
            return f"{key} is missing"
        case "string_type":
            return f"{key} must be a text; put it in quotes (got {fault['input']!r})"
        case "bool_type":
            return f"{key} must be true or false (got {fault['input']!r})"
    if key == "image":
        return f"image must name a digest, like registry/gift@sha256:<64 hex digits> (got {fault['input']!r})"
    if key == "git_sha":
        return f"git_sha must be a whole commit, 40 hex digits (got {fault['input']!r})"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"
