"""Fixtures that more than one test file needs: the real S3 and MLflow servers, started once for the whole session."""

import os
import uuid
from collections.abc import Iterator

# Read when torch, the hub client and MLflow are imported, so set before anything else is.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import pytest

from pipelines.processes import free_ports
from pipelines.servers import HOST
from pipelines.services import Services, start_services, stop_services


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """SeaweedFS and MLflow on free ports; the environment points to them until the session ends."""
    state_dir = tmp_path_factory.mktemp("services")
    s3_port, mlflow_port = free_ports(HOST, 2)
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        try:
            running = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
            for name, value in running.environment.items():
                environment.setenv(name, value)
            yield running
        finally:
            stop_services(state_dir)


@pytest.fixture
def bucket_prefix(services: Services) -> str:
    """An `s3://` prefix that no other test uses."""
    return f"s3://gift/test-{uuid.uuid4().hex}"
