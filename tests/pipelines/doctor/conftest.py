"""What calls of `gift doctor` start from, where the stand-ins of KFP and Kubernetes are all that there is."""

import pytest
from cluster_runs import compiled_once

from pipelines.doctor import demands


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLflow and S3, and with one compilation of each profile."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(demands, "compile_pipeline", compiled_once)
