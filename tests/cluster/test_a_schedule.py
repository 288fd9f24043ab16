"""A schedule on a real cluster: it starts a run, and is removed; see conftest.py."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_under_test import NAME, TINY, Cluster, wait_for

ROOT = Path(__file__).parents[2]
EXPERIMENT = f"{NAME}-schedule"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def apply(folder: Path) -> str:
    command = ("schedule", "apply", "--schedules", str(folder), "--kfp-experiment", EXPERIMENT)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def schedules(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A folder with the schedule that starts a run every minute; it is taken from the cluster at the end."""
    git = ["git", "-C", str(ROOT)]
    if subprocess.check_output([*git, "status", "--porcelain", "--untracked-files=no"]):
        pytest.skip("a schedule names a commit, and this checkout has changes that are in none")
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    file = tmp_path / "every-minute.yaml"
    overrides = "".join(f'  - "{setting}"\n' for setting in (*TINY, *cluster.settings))
    file.write_text(
        f'profile: local\noverrides:\n{overrides}git_sha: "{commit}"\nimage: {cluster.image}\n'
        'cron: "0 * * * * *"\nenabled: true\n'
    )
    yield tmp_path
    file.unlink(missing_ok=True)
    apply(tmp_path)


def test_a_schedule_starts_a_run_and_is_removed(cluster: Cluster, schedules: Path) -> None:
    apply(schedules)
    experiment_id = cluster.api.experiment_id(EXPERIMENT)

    def listed(call: Any, field: str) -> list[Any]:
        return cluster.api.all_pages(call, field, experiment_id=experiment_id)

    runs = wait_for("a run of the schedule", lambda: listed(cluster.api.runs.run_service_list_runs, "runs"))
    (schedules / "every-minute.yaml").unlink()
    apply(schedules)
    runs = listed(cluster.api.runs.run_service_list_runs, "runs")
    cluster.run_ids += [run.run_id for run in runs]
    recurring = cluster.api.recurring_runs.recurring_run_service_list_recurring_runs
    assert listed(recurring, "recurring_runs") == []
