"""Schedule files: what is accepted, and the one line that says what is not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gift.config import profile_names
from gift.errors import GiftError
from pipelines.schedules.cron import check_cron
from pipelines.schedules.schedule import load_schedules

VALID = {
    "profile": "local",
    "git_sha": f'"{"a" * 40}"',
    "image": f"registry.example.org:5000/team/gift@sha256:{'b' * 64}",
    "cron": '"0 0 2 * * *"',
    "enabled": "true",
}


def write(folder: Path, name: str = "nightly.yaml", **keys: str | None) -> Path:
    values = {key: value for key, value in (VALID | keys).items() if value is not None}
    (folder / name).write_text(
        "".join(f"{key}: {value}\n" for key, value in values.items()), "utf-8", "surrogateescape"
    )
    return folder


def test_a_schedule_is_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml")
    write(tmp_path, "a.yaml", overrides="[seed=1, rl.steps=2]", start_time="2027-01-01T01:00:00.5+01:00")
    schedules = load_schedules(tmp_path)
    assert list(schedules) == ["a", "b"]
    assert schedules["a"].overrides == ("seed=1", "rl.steps=2")
    assert schedules["a"].start_time == datetime(2027, 1, 1, tzinfo=UTC)
    assert schedules["b"].max_concurrency == 1
    assert not schedules["b"].catch_up


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"colour": "red"}, "colour is not a known key"),
        ({"profile": None}, "profile is missing"),
        ({"profile": "../other"}, "profile: String should match"),
        ({"profile": "local.yaml"}, "profile: must be a name from `gift profiles`, and no file"),
        ({"git_sha": "1" * 40}, "git_sha must be a text; put it in quotes"),
        ({"git_sha": f"{'1' * 20}e{'1' * 19}"}, "git_sha must be a text; put it in quotes"),
        ({"git_sha": "main"}, "git_sha must be a whole commit, 40 hex digits (got 'main')"),
        ({"image": "gift:latest"}, "image must name a digest"),
        ({"max_concurrency": "11"}, "max_concurrency: Input should be less than or equal to 10"),
        ({"cron": '"0 2 * * *"'}, "cron: must have six fields"),
        ({"start_time": "2027-01-01T00:00:00"}, "start_time: Input should have timezone info"),
        ({"start_time": "2027-02-01T00:00:00Z", "end_time": "2027-01-01T00:00:00Z"}, "end_time must be after start"),
        ({"enabled": None}, "enabled is missing"),
        ({"enabled": "yes"}, "enabled must be true or false (got 'yes')"),
        ({"enabled": "1"}, "enabled must be true or false (got 1)"),
        ({"max_concurrency": "'2'"}, "max_concurrency: Input should be a valid integer"),
        ({"max_concurrency": "true"}, "max_concurrency: Input should be a valid integer"),
        ({"max_concurrency": "2.0"}, "max_concurrency: Input should be a valid integer"),
        ({"overrides": "seed=1"}, "overrides: Input should be a valid array"),
        ({"overrides": "[seed: 1]"}, "overrides.0 must be a text"),
        ({"start_time": "1800000000"}, "start_time: Input should be a valid datetime"),
        ({"start_time": '"1800000000"'}, "start_time: must be a time such as 2027-01-01T00:00:00Z"),
        ({"start_time": '"20270101"'}, "start_time: Input should have timezone info"),
        ({'"a\\nb"': "1"}, "'a\\nb' is not a known key"),
        ({"description": "a\nprofile: other"}, "the key profile is there twice, line"),
        ({"description": "Größe \udcff"}, "is not text in UTF-8; save it as UTF-8"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_file_and_key(
    tmp_path: Path, keys: dict[str, str | None], message: str
) -> None:
    write(tmp_path, **keys)
    with pytest.raises(GiftError) as error:
        load_schedules(tmp_path)
    assert message in str(error.value)
    assert "nightly.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_two_files_with_the_same_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "nightly.yaml")
    write(tmp_path, "nightly.yml")
    with pytest.raises(GiftError, match="are both schedule nightly; rename one"):
        load_schedules(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "just words", "", "- a"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "nightly.yaml").write_text(text)
    with pytest.raises(GiftError, match=r"nightly\.yaml (is not YAML|must hold the keys)"):
        load_schedules(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="there is no folder"):
        load_schedules(tmp_path / "none")


def test_the_digest_tells_everything_but_enabled_and_the_description(tmp_path: Path) -> None:
    digests = []
    for keys in ({}, {"enabled": "false"}, {"description": "other"}, {"cron": '"0 0 3 * * *"'}, {"catch_up": "true"}):
        write(tmp_path, **keys)
        digests.append(load_schedules(tmp_path)["nightly"].digest())
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 3


def test_the_examples_are_valid_disabled_and_name_profiles_that_exist() -> None:
    for schedule in load_schedules(Path(__file__).parents[3] / "schedules").values():
        assert not schedule.enabled
        assert schedule.placeholders == ["git_sha", "image"]
        assert schedule.profile in profile_names()


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 2 * * *",
        "0 */15 9-17 ? * MON-FRI",
        "30 0 0 1,15 JAN *",
        "0 5/10 * * * 0",
        "0  0 2  * * *",
        "0 0 0 29 2 *",
        "0 0 0 30 2 MON",
        "0 0 0 30/1 2,4 ?",
    ],
)
def test_cron_expressions_that_kfp_takes(expression: str) -> None:
    assert check_cron(expression) == " ".join(expression.split())


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 2 * * *", "has 5"),
        ("@daily", "has 1"),
        ("0 0 0 2 * * *", "has 7"),
        ("* 0 2 * * *", "the second must be one number"),
        ("60 0 2 * * *", "second: '60' is not"),
        ("0 0 24 * * *", "hour: '24' is not"),
        ("0 0 2 0 * *", "day of month: '0' is not"),
        ("0 0 2 * 13 *", "month: '13' is not"),
        ("0 0 2 * * 7", "day of week: '7' is not"),
        ("0 0 5-2 * * *", "hour: '5-2' is not"),
        ("0 0 */0 * * *", "hour: '*/0' is not"),
        ("0 0 2, * * *", "hour: '' is not"),
        ("0 0 *-3 * * *", "hour: '*-3' is not"),
        ("0 0 2 * FEBR *", "month: 'FEBR' is not"),
        ("0 0 0 30 2 *", "no month of '2' has a day of '30'"),
        ("0 0 0 31 FEB,4,6-6 */2", "no month of 'FEB,4,6-6' has a day of '31'"),
    ],
)
def test_cron_expressions_that_kfp_refuses_or_misreads_name_the_field(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        check_cron(expression)
