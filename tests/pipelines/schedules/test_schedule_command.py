"""`gift schedule plan` and `apply`: the cluster becomes what git says, and what differs is told."""

from pathlib import Path

import pytest
import yaml
from kfp_server import KfpServer
from scheduling import IMAGE, Gift, check_never_two, check_settled, commit_all, state, write

from pipelines.kubeflow.compile import compile_pipeline
from pipelines.schedules import checkout

pytestmark = pytest.mark.slow


def test_plan_names_what_is_missing_and_writes_nothing(gift: Gift, server: KfpServer) -> None:
    status, output = gift("plan")
    assert (status, output) == (2, "nightly  create\n")
    assert server.writes == []
    assert server.history != []


def test_apply_makes_an_empty_cluster_what_git_says(gift: Gift, server: KfpServer, commit: str) -> None:
    write("nightly", commit, max_concurrency="2", catch_up="true", end_time="2099-01-01T00:00:00Z")
    assert gift("apply")[0] == 0
    (version,) = server.versions.values()
    (run,) = server.recurring_runs.values()
    assert [pipeline.display_name for pipeline in server.pipelines.values()] == ["gift-local"]
    assert version.display_name.startswith(commit[:12])
    assert version.pipeline_spec["text"].endswith(IMAGE)
    assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert (run.max_concurrency, run.no_catchup, run.mode) == ("2", False, "ENABLE")
    assert run.trigger.cron_schedule.end_time.isoformat() == "2099-01-01T00:00:00+00:00"
    assert run.runtime_config is None
    check_settled(server, gift, "0 0 2 * * *")


def test_the_uploaded_version_is_what_the_compiler_makes(
    gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.kubeflow.compile.compile_pipeline", compile_pipeline)
    assert gift("apply")[0] == 0
    (version,) = server.versions.values()
    pipeline, kubernetes = yaml.safe_load_all(version.pipeline_spec["text"])
    assert list(pipeline["root"]["inputDefinitions"]["parameters"]) == ["config"], "a recurring run gives no other"
    assert pipeline["root"]["inputDefinitions"]["parameters"]["config"]["defaultValue"]
    assert "kubernetes" in kubernetes["platforms"]
    check_settled(server, gift, "0 0 2 * * *")


def test_a_disabled_schedule_is_made_and_stays_disabled(gift: Gift, server: KfpServer, commit: str) -> None:
    write("nightly", commit, enabled="false")
    assert gift("apply")[0] == 0
    assert state(server) == [("nightly", "0 0 2 * * *", "DISABLE")]
    assert gift("plan")[0] == 0
    write("nightly", commit, enabled="true")
    status, output = gift("plan")
    assert status == 2
    assert output == "nightly  enable\n  enabled         false → true\n"
    server.recover()
    assert gift("apply")[0] == 0
    assert [request.path.rpartition(":")[2] for request in server.writes] == ["enable"]


def test_a_change_replaces_the_schedule_and_never_leaves_two_or_none(
    gift: Gift, server: KfpServer, commit: str
) -> None:
    gift("apply")
    (old,) = server.recurring_runs
    training = server.start_run_of(old)
    write("nightly", commit, cron='"0 0 3 * * *"', overrides="[seed=1]")
    status, output = gift("plan")
    assert status == 2
    assert "nightly  replace\n" in output
    assert "  overrides       none → seed=1\n" in output
    assert "  cron            0 0 2 * * * → 0 0 3 * * *\n" in output
    server.recover()
    assert gift("apply")[0] == 0
    (new,) = server.recurring_runs
    steps = [(request.path.removeprefix("/apis/v2beta1/"), len(request.enabled)) for request in server.writes]
    assert steps == [
        ("pipelines/upload_version", 1),
        ("recurringruns", 1),
        (f"recurringruns/{old}:disable", 0),
        (f"recurringruns/{new}:enable", 1),
        (f"recurringruns/{old}", 1),
    ]
    assert training in server.runs, "what the old one has started must go on"
    check_settled(server, gift, "0 0 3 * * *")


def test_a_change_by_hand_is_shown_as_such_and_undone(gift: Gift, server: KfpServer) -> None:
    gift("apply")
    (run,) = server.recurring_runs.values()
    run.trigger.cron_schedule.cron, run.max_concurrency = "0 0 4 * * *", "10"
    status, output = gift("plan")
    assert status == 2
    assert "nightly  replace (it was changed by hand)\n" in output
    assert "  cron            0 0 4 * * * → 0 0 2 * * *\n" in output
    assert "  max_concurrency 10 → 1\n" in output
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 2 * * *")


def test_a_schedule_that_somebody_disabled_or_unpinned_is_put_right(gift: Gift, server: KfpServer) -> None:
    gift("apply")
    (run,) = server.recurring_runs.values()
    run.mode = "DISABLE"
    assert "nightly  enable\n  enabled         false → true\n" in gift("plan")[1]
    run.pipeline_version_reference.pipeline_version_id = None
    assert "git_sha         the newest version (not pinned) → " in gift("plan")[1]
    assert gift("apply")[0] == 0
    check_settled(server, gift, "0 0 2 * * *")


def test_the_account_of_the_pods_is_the_files_or_else_kfps(gift: Gift, server: KfpServer, commit: str) -> None:
    gift("apply")
    assert gift("plan")[0] == 0
    write("nightly", commit, service_account="gift-stage")
    status, output = gift("plan")
    assert status == 2
    assert "service_account pipeline-runner → gift-stage\n" in output
    assert gift("apply")[0] == 0
    assert [run.service_account for run in server.recurring_runs.values()] == ["gift-stage"]
    write("nightly", commit)
    assert "service_account gift-stage → none\n" in gift("plan")[1]
    assert gift("apply")[0] == 0
    assert [run.service_account for run in server.recurring_runs.values()] == ["pipeline-runner"]
    assert gift("plan")[0] == 0, "what KFP fills in by itself is no difference"


def test_only_ours_are_deleted(gift: Gift, server: KfpServer, commit: str) -> None:
    write("weekly", commit, cron='"0 0 2 * * SUN"')
    gift("apply")
    for run in list(server.recurring_runs.values()):
        if run.display_name == "weekly":
            theirs = type(run)(**{**run.to_dict(), "recurring_run_id": "theirs", "description": "made by hand"})
            server.recurring_runs["theirs"] = theirs
            theirs.trigger, theirs.display_name = run.trigger, "theirs"
    Path("schedules", "weekly.yaml").unlink()
    status, output = gift("plan")
    assert status == 2
    assert "weekly  delete (no file has this name; 1 on the cluster)\n" in output
    assert "theirs  left alone: not made from a file\n" in output
    assert gift("apply")[0] == 0
    assert [name for name, _, _ in state(server)] == ["nightly", "theirs"]
    assert gift("plan")[0] == 0


def test_a_renamed_schedule_is_never_there_twice(gift: Gift, server: KfpServer) -> None:
    gift("apply")
    Path("schedules", "nightly.yaml").rename("schedules/daily.yaml")
    server.recover()
    assert gift("apply")[0] == 0
    assert all(len(request.enabled) <= 1 for request in server.history)
    assert [name for name, _, _ in state(server)] == ["daily"]


def test_a_start_that_has_passed_is_not_sent_because_kfp_would_make_up_for_everything_since(
    gift: Gift, server: KfpServer, commit: str
) -> None:
    write("nightly", commit, start_time="2020-01-01T00:00:00Z", catch_up="true")
    write("later", commit, start_time="2099-01-01T00:00:00Z")
    assert gift("apply")[0] == 0
    starts = {run.display_name: run.trigger.cron_schedule.start_time for run in server.recurring_runs.values()}
    assert starts["nightly"] is None
    assert starts["later"].isoformat() == "2099-01-01T00:00:00+00:00"
    assert gift("plan")[0] == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"git_sha": '"' + "0" * 40 + '"', "image": f"x/gift@sha256:{'0' * 64}"}, "git_sha and image are zeros"),
        ({"profile": "nope"}, "profile 'nope' does not exist"),
        ({"overrides": "[rl.colour=red]"}, "rl.colour is not a known key"),
        ({"git_sha": '"' + "c" * 40 + '"'}, "this checkout is not commit cccccccccccc (it does not know that commit"),
    ],
)
def test_a_schedule_that_cannot_be_applied_says_why_and_stops_all(
    gift: Gift, server: KfpServer, commit: str, keys: dict[str, str], message: str
) -> None:
    write("other", commit, **keys)
    status, output = gift("plan")
    assert status == 2
    assert "other  create\n  blocked " in output
    assert message in output
    status, output = gift("apply")
    assert status == 1
    assert "error: other: " in output
    assert message in output.splitlines()[-1]
    assert server.recurring_runs == {}
    assert [version.display_name[:12] for version in server.versions.values()] == [commit[:12]]  # nightly's own


def test_another_commit_needs_no_compilation_once_the_version_is_there(
    gift: Gift, server: KfpServer, commit: str, tmp_path: Path
) -> None:
    source = checkout.ROOT / "pipelines" / "schedules" / "checkout.py"
    source.write_text("changed")
    status, output = gift("plan")
    assert status == 2
    assert "is not on the cluster, and this checkout is not commit" in output
    assert "(it differs in pipelines/schedules/checkout.py)" in output
    assert f"python -m pipelines.cli schedule apply --schedules {tmp_path / 'schedules'}" in output
    source.write_text("")
    (checkout.ROOT / "schedules").mkdir()
    (checkout.ROOT / "schedules" / "nightly.yaml").write_text("a later commit")
    assert commit_all(checkout.ROOT) != commit
    assert gift("apply")[0] == 0, "a later commit that changes nothing that is compiled will do"
    source.write_text("changed")
    commit_all(checkout.ROOT)
    write("nightly", commit, cron='"0 0 3 * * *"')
    assert gift("apply")[0] == 0
    assert len(server.versions) == 1
    check_settled(server, gift, "0 0 3 * * *")


def test_a_version_is_never_uploaded_over_another_of_its_name(
    gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gift("apply")
    monkeypatch.setattr("pipelines.kubeflow.compile.compile_pipeline", lambda config, image: "something else")
    status, output = gift("apply")
    assert status == 1
    assert "is on the cluster with other content (ir_sha256)" in output
    (version,) = server.versions.values()
    version.description = None
    assert "with other content (profile, overrides, git_sha, image, ir_sha256)" in gift("apply")[1]
