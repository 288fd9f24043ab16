"""MLflow and the bucket, as `gift doctor` asks the real servers."""

import pytest

from gift.config import load_profile
from pipelines.doctor.services import check_bucket, check_mlflow
from pipelines.local.services import Services

CONFIG = load_profile("local")


def test_what_is_there_passes(services: Services, bucket_prefix: str) -> None:
    result = check_bucket(load_profile("local", (f"storage.uri={bucket_prefix}",)))
    assert (result.state, result.text) == ("ok", f"{bucket_prefix} was written, read and deleted")
    result = check_mlflow()
    assert (result.state, result.text.split(".")[0]) == ("ok", "3")


def test_what_is_wrong_fails_in_one_line(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    result = check_bucket(load_profile("local", ("storage.uri=s3://nowhere-at-all",)))
    assert (result.state, "bucket nowhere-at-all does not exist" in result.text) == ("fails", True)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    result = check_bucket(CONFIG)
    assert (result.state, "refuses our key" in result.text) == ("fails", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services.environment["AWS_ENDPOINT_URL_S3"])
    result = check_mlflow()
    assert (result.state, "is not a healthy MLflow server" in result.text) == ("fails", True)


def test_what_this_machine_can_not_reach_is_not_judged(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert check_bucket(CONFIG).state == "note"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert [check_bucket(CONFIG).state, check_mlflow().state] == ["note", "note"]
