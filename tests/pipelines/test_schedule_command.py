"""`gift schedule plan` and `apply` against KFP's HTTP API, with everything that can go wrong on the way."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from kfp_server import Fault, KfpServer, running_server
from typer.testing import CliRunner

from gift.config import RunConfig
from pipelines import checkout, command, kfp_api
from pipelines.compile import compile_pipeline

IMAGE = f"registry.example.org/gift@sha256:{'b' * 64}"

Gift = Callable[..., tuple[int, str]]


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of a checkout that has what a pipeline is compiled from, and nothing else."""
    root = tmp_path / "checkout"
    (root / "pipelines").mkdir(parents=True)
    (root / "pipelines" / "checkout.py").write_text("")
    monkeypatch.setattr(checkout, "ROOT", root)
    return commit_all(root)


def commit_all(root: Path) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "--allow-empty", "-m", "test")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
    return subprocess.check_output(["git", "-C", str(root), "rev-parse", "HEAD"], text=True).strip()


@pytest.fixture
def gift(server: KfpServer, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gift:
    """Runs `gift schedule …` in a folder with the schedule `nightly`; returns (exit status, output)."""
    (tmp_path / "schedules").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    monkeypatch.setattr(kfp_api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 0.3)
    monkeypatch.setattr("pipelines.compile.compile_pipeline", compiled)
    write("nightly", commit)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command.app, ["schedule", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


def compiled(config: RunConfig, image: str) -> str:
    """Stands in for the compiler, which takes a second; the real one has tests of its own."""
    return f"{config.digest()} {image}"


def write(name: str, commit: str, **keys: str) -> None:
    values = {
        "profile": "local",
        "git_sha": f'"{commit}"',
        "image": IMAGE,
        "cron": '"0 0 2 * * *"',
        "enabled": "true",
        **keys,
    }
    Path("schedules", f"{name}.yaml").write_text("".join(f"{key}: {value}\n" for key, value in values.items()))


def state(server: KfpServer) -> list[tuple[str, str, str]]:
    """(name, cron, mode) of every recurring run."""
    runs = server.recurring_runs.values()
    return sorted((run.display_name, run.trigger.cron_schedule.cron, run.mode) for run in runs)


def check_never_two(server: KfpServer) -> None:
    for request in server.history:
        assert len(request.enabled) == len(set(request.enabled)), request


def check_settled(server: KfpServer, gift: Gift, cron: str) -> None:
    """The one schedule is as git says, nothing is left beside it, and there is nothing to do."""
    assert state(server) == [("nightly", cron, "ENABLE")]
    assert len(server.experiments) == len(server.pipelines) == 1
    names = [version.display_name for version in server.versions.values()]
    assert len(names) == len(set(names))
    server.recover()
    assert gift("plan") == (0, "nightly  unchanged\nno difference\n")
    assert gift("apply")[0] == 0
    assert server.writes == []


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
    monkeypatch.setattr("pipelines.compile.compile_pipeline", compile_pipeline)
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


FAULTS = {
    "500": Fault(500, applied=False),
    "500 though applied": Fault(500, applied=True),
    "409": Fault(409, applied=False),
    "400": Fault(400, applied=False),
    "no answer": Fault(None, applied=False),
    "no answer though applied": Fault(None, applied=True),
    "hangs": Fault(None, applied=False, hangs=True),
}


@pytest.mark.parametrize("write_number", range(5))
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("start", ["empty", "older"])
def test_after_one_fault_the_schedule_is_right_at_the_latest_with_the_next_apply(
    gift: Gift, server: KfpServer, commit: str, start: str, fault: str, write_number: int
) -> None:
    if start == "older":
        gift("apply")
    write("nightly", commit, cron='"0 0 3 * * *"', overrides="[seed=1]")
    server.recover()
    server.write_faults = {write_number: FAULTS[fault]}
    status, output = gift("apply")
    assert server.arrived > write_number, "the fault must have happened"
    assert status == 0 or fault in ("400", "409"), output
    if status:
        assert output.splitlines()[-1].startswith("error: KFP at http://127.0.0.1")
        assert start == "empty" or "nightly" in server.history[-1].enabled, "the old one must be back"
        gift("apply")
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")


@pytest.mark.parametrize("write_number", range(5))
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("start", ["empty", "older"])
def test_an_apply_that_is_cut_off_anywhere_is_finished_by_the_next(
    gift: Gift, server: KfpServer, commit: str, start: str, applied: bool, write_number: int
) -> None:
    if start == "older":
        gift("apply")
    write("nightly", commit, cron='"0 0 3 * * *"', overrides="[seed=1]")
    server.recover()
    server.write_faults = {write_number: Fault(None, applied)}
    server.down_after_write = write_number + 1
    status, output = gift("apply")
    assert status == 1
    assert "goes on from here" in output
    check_never_two(server)
    server.recover()
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")


def test_where_the_new_one_cannot_be_enabled_the_old_one_comes_back(gift: Gift, server: KfpServer, commit: str) -> None:
    gift("apply")
    (old,) = server.recurring_runs
    write("nightly", commit, cron='"0 0 3 * * *"')
    server.recover()
    server.write_faults = dict.fromkeys((2, 3, 4), Fault(500, applied=True))  # enabled, but nobody is told
    assert gift("apply")[0] == 1
    check_never_two(server)
    assert server.recurring_runs[old].mode == "ENABLE"
    server.recover()
    assert gift("apply")[0] == 0
    check_settled(server, gift, "0 0 3 * * *")


def test_a_schedule_that_is_made_twice_after_a_time_out_is_never_enabled_twice_and_is_tidied(
    gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write_faults = {3: Fault(None, applied=True, hangs=True)}  # made only after the caller gave up and repeated
    assert gift("apply")[0] == 0
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 5.0)
    while len(server.recurring_runs) < 2:
        gift("plan")
    assert [mode for _, _, mode in state(server)] == ["DISABLE", "ENABLE"]
    status, output = gift("plan")
    assert (status, output) == (2, "nightly  tidy (delete 1 left beside the right one)\n")
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 2 * * *")


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
    assert gift("plan")[0] == 0


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
    assert server.writes == []


def test_another_commit_needs_no_compilation_once_the_version_is_there(
    gift: Gift, server: KfpServer, commit: str, tmp_path: Path
) -> None:
    source = checkout.ROOT / "pipelines" / "checkout.py"
    source.write_text("changed")
    status, output = gift("plan")
    assert status == 2
    assert "is not on the cluster, and this checkout is not commit" in output
    assert "(it differs in pipelines/checkout.py)" in output
    assert f"python -m pipelines.command schedule apply --schedules {tmp_path / 'schedules'}" in output
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
    monkeypatch.setattr("pipelines.compile.compile_pipeline", lambda config, image: "something else")
    status, output = gift("apply")
    assert status == 1
    assert "is on the cluster with other content (ir_sha256)" in output
    (version,) = server.versions.values()
    version.description = None
    assert "with other content (profile, overrides, git_sha, image, ir_sha256)" in gift("apply")[1]


def test_the_token_is_sent_and_never_shown(
    gift: Gift, server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "token-of-a-test"
    status, output = gift("plan")
    assert status == 1
    assert "refuses access (401: unauthenticated); set KFP_TOKEN" in output
    monkeypatch.setenv("KFP_TOKEN", "wrong-token")
    status, output = gift("plan")
    assert status == 1
    assert "wrong-token" not in output
    monkeypatch.setenv("KFP_TOKEN", server.token)
    assert gift("apply")[0] == 0
    mounted = tmp_path / "token"
    mounted.write_text(f"{server.token}\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(mounted))
    monkeypatch.setenv("KFP_TOKEN", "wrong-token")
    assert gift("plan")[0] == 0
    status, output = gift("plan", "--kfp-host", "http://kubeflow.example.org")
    assert (status, server.token in output) == (1, False)
    assert "would travel unencrypted to kubeflow.example.org" in output


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (None, "no address of Kubeflow Pipelines; set KF_PIPELINES_ENDPOINT"),
        ("http://127.0.0.1:9", "KFP at http://127.0.0.1:9 does not answer (no connection)"),
        ("kubeflow", "the address of KFP must be like https://"),
    ],
)
def test_an_address_that_is_missing_wrong_or_dead_is_one_line(
    gift: Gift, monkeypatch: pytest.MonkeyPatch, host: str | None, message: str
) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    status, output = gift("plan", *([] if host is None else ["--kfp-host", host]))
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "message"), [(200, "is not the API of Kubeflow"), (302, "perhaps to a sign-in page")]
)
def test_a_page_to_sign_in_is_not_taken_for_an_empty_cluster(gift: Gift, status: int, message: str) -> None:
    class SignIn(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/html")
            self.send_header("location", "/sign-in")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), SignIn) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        exit_status, output = gift("plan", "--kfp-host", f"http://127.0.0.1:{listener.server_address[1]}")
        listener.shutdown()
    assert exit_status == 1
    assert message in output


def test_a_busy_server_is_asked_again(gift: Gift, server: KfpServer) -> None:
    server.read_faults = [Fault(503, applied=False), Fault(None, applied=False)]
    assert gift("plan") == (2, "nightly  create\n")
    server.read_faults = [Fault(503, applied=False)] * 3
    status, output = gift("plan")
    assert status == 1
    assert "fails (503: an injected fault)" in output
