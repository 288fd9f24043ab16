"""Checks a cron expression as Kubeflow Pipelines will read it.

KFP reads six fields: second minute hour day-of-month month day-of-week, in the time zone of its controller
(CRON_SCHEDULE_TIMEZONE, else UTC). It would also take five fields, but from the second on: what means 02:00 every night
in Unix cron would then start a run every hour, so five fields are refused here. So are descriptors like @daily, and a
second field that is not one number, because it would start a run every second.

A date that never comes, like 30 February, is refused, too: KFP's controller would look for it for ever, and start no
schedule of anybody.

Source: github.com/robfig/cron v1.2, which KFP uses. Left out: when an expression is due next.
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
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_RANGE = re.compile(r"(?P<low>[*?]|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?", re.ASCII)


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
    if not (fields[0].isascii() and fields[0].isdecimal()):
        raise ValueError(f"the second must be one number, so that at most one run starts per minute; got {fields[0]!r}")
    values: dict[str, set[int]] = {name: set() for name, *_ in _FIELDS}
    for text, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            found = _values(part, least, most, words)
            if found is None:
                raise ValueError(f"{name}: {part!r} is not a value, range or step from {least} to {most}")
            values[name].update(found)
    any_day_of_week = "*" in fields[5] or "?" in fields[5]  # else it is enough, and comes in every month
    longest_month = max(_DAYS_OF_MONTH[month - 1] for month in values["month"])
    if any_day_of_week and min(values["day of month"]) > longest_month:
        raise ValueError(f"day of month: no month of {fields[4]!r} has a day of {fields[3]!r}")
    return " ".join(fields)


def _values(part: str, least: int, most: int, words: dict[str, int]) -> range | None:
    """What a part of a field stands for; None where it is not valid."""
    match = _RANGE.fullmatch(part)
    step = int(match["step"] or 1) if match else 0
    if match is None or step == 0:
        return None
    if match["low"] in "*?":
        return None if match["high"] else range(least, most + 1, step)
    low = _number(match["low"], words)
    high = _number(match["high"], words) if match["high"] else most if match["step"] else low  # N/step is N-most/step
    if low is None or high is None or not least <= low <= high <= most:
        return None
    return range(low, high + 1, step)


def _number(text: str, words: dict[str, int]) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else words.get(text.lower())
