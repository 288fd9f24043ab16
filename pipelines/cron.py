"""Checks a cron expression as Kubeflow Pipelines will read it.

KFP reads six fields: second minute hour day-of-month month day-of-week, in the time zone of its controller
(CRON_SCHEDULE_TIMEZONE, else UTC). It would also take five fields, but from the second on: what means 02:00 every night
in Unix cron would then start a run every hour, so five fields are refused here. So are descriptors like @daily, and a
second field that is not one number, because it would start a run every second.

Source: github.com/robfig/cron v1.2, which KFP uses. Left out: when an expression is due next, and days that no month
has.
"""

import re

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_RANGE = re.compile(r"(?P<low>[*?]|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?")


def check_cron(expression: str) -> str:
    """The expression, with single spaces between its fields.

    Raises:
        ValueError: it is not what KFP takes; the field is named.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"must have six fields (second minute hour day-of-month month day-of-week), like 0 0 2 * * * for 02:00 "
            f"every night; {expression!r} has {len(fields)}"
        )
    if not fields[0].isdecimal():
        raise ValueError(f"the second must be one number, so that at most one run starts per minute; got {fields[0]!r}")
    for text, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if not _is_valid(part, least, most, words):
                raise ValueError(f"{name}: {part!r} is not a value, range or step from {least} to {most}")
    return " ".join(fields)


def _is_valid(part: str, least: int, most: int, words: dict[str, int]) -> bool:
    match = _RANGE.fullmatch(part)
    if match is None or (match["step"] is not None and int(match["step"]) == 0):
        return False
    if match["low"] in "*?":
        return match["high"] is None
    low = _number(match["low"], words)
    high = low if match["high"] is None else _number(match["high"], words)
    return low is not None and high is not None and least <= low <= high <= most


def _number(text: str, words: dict[str, int]) -> int | None:
    return int(text) if text.isdecimal() else words.get(text.lower())
