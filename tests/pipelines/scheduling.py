"""A schedule file, and what must hold of it on a KFP server, for the tests of `gift schedule`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from kfp_server import KfpServer

from gift.config import RunConfig

IMAGE = f"registry.example.org/gift@sha256:{'b' * 64}"

Gift = Callable[..., tuple[int, str]]
"""`gift schedule …`: its arguments → (exit status, output)."""


def commit_all(root: Path) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "--allow-empty", "-m", "test")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
    return subprocess.check_output(["git", "-C", str(root), "rev-parse", "HEAD"], text=True).strip()


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
