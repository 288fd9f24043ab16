"""The commands of the manifests, run for real: only ports, folders and MLflow's database are this test's own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
import psutil
from rendered import MANIFESTS, Object, pod_templates, render, the

from pipelines.local.server_commands import HOST
from pipelines.local.services import Services
from pipelines.machine.processes import free_ports

START_SECONDS = 120.0
WEED_INTERNAL = ("master.port", "volume.port", "filer.port")


def test_every_image_has_the_driver_of_mlflows_database() -> None:
    settings = (MANIFESTS / "base" / "mlflow.env").read_text(encoding="utf-8")
    driver = re.search(r"^MLFLOW_BACKEND_STORE_URI=postgresql\+(\w+)://", settings, re.MULTILINE)
    assert driver is not None
    for variant in ("cpu", "gpu"):
        locked = (MANIFESTS.parent / "requirements" / f"{variant}.txt").read_text(encoding="utf-8")
        assert re.search(rf"^{driver[1]}(-binary)?==", locked, re.MULTILINE)


def test_the_job_creates_the_bucket_once(services: Services) -> None:
    bucket = f"new-{uuid.uuid4().hex[:12]}"
    for expected in ("created", "exists"):
        done = subprocess.run(
            [sys.executable, MANIFESTS / "base" / "create_bucket.py"],
            env={**os.environ, **services.environment, "BUCKET": bucket},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-2:] == [bucket, expected]


def test_the_job_fails_where_the_key_is_refused(services: Services) -> None:
    done = subprocess.run(
        [sys.executable, MANIFESTS / "base" / "create_bucket.py"],
        env={**os.environ, **services.environment, "AWS_SECRET_ACCESS_KEY": "wrong", "BUCKET": "any"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: S3 at http://{HOST}:{services.s3_port}, bucket any: ")
    assert done.stderr.count("\n") == 1
    assert services.environment["AWS_SECRET_ACCESS_KEY"] not in done.stderr


def test_the_job_waits_for_s3_without_a_traceback(services: Services) -> None:
    (port,) = free_ports(HOST, 1)
    address = {"AWS_ENDPOINT_URL_S3": f"http://{HOST}:{port}", "BUCKET": "any", "WAIT_SECONDS": "4"}
    done = subprocess.run(
        [sys.executable, MANIFESTS / "base" / "create_bucket.py"],
        env={**os.environ, **services.environment, **address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, f"waiting for S3 at http://{HOST}:{port}\n")
    assert done.stderr.startswith(f"error: S3 at http://{HOST}:{port}, bucket any: Could not connect")
    assert done.stderr.count("\n") == 1


def test_only_the_s3_of_seaweedfs_listens_outside_its_pod(tmp_path: Path) -> None:
    [port, *internal] = free_ports(HOST, 2 + 2 * len(WEED_INTERNAL))
    command = _command("StatefulSet seaweedfs", "seaweedfs", {"-dir=/data": f"-dir={tmp_path}", "8333": str(port)})
    names = ["s3.port.grpc", *WEED_INTERNAL, *(f"{name}.grpc" for name in WEED_INTERNAL)]
    command += [f"-{name}={number}" for name, number in zip(names, internal, strict=True)]
    key = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    with _server(command, key, f"http://{HOST}:{port}{_probe('StatefulSet seaweedfs')}", tmp_path / "log") as process:
        open_ports = {
            connection.laddr.port
            for connection in psutil.Process(process.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and not connection.laddr.ip.startswith("127.")
        }
        assert open_ports - {internal[0]} == {port}  # S3's gRPC port cannot be bound apart; the policies close it
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{HOST}:{port}",
            aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="gift")
        client.put_object(Bucket="gift", Key="a", Body=b"b")
        assert client.get_object(Bucket="gift", Key="a")["Body"].read() == b"b"


def test_mlflow_migrates_starts_and_refuses_foreign_hosts(services: Services, tmp_path: Path) -> None:
    [port] = free_ports(HOST, 1)
    settings = the(render("local"), "ConfigMap", "mlflow")["data"]
    environment = {
        **services.environment,
        **{name: value for name, value in settings.items() if not name.startswith("PG")},
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
    }
    migrate = _command("Deployment mlflow", "migrate", {f"$({name})": value for name, value in environment.items()})
    for _ in range(2):  # an empty database, and one that needs nothing
        subprocess.run(migrate, env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, check=True)
    command = _command(
        "Deployment mlflow", "mlflow", {"--port=5000": f"--port={port}", "0.0.0.0": HOST, "--workers=2": "--workers=1"}
    )
    with _server(command, environment, f"http://{HOST}:{port}{_probe('Deployment mlflow')}", tmp_path / "log"):
        api = f"http://{HOST}:{port}/api/2.0/mlflow/experiments/get?experiment_id=0"
        answers = {host: _status(api, host) for host in ("mlflow.gift.svc:5000", "127.0.0.1:5000", "evil.example.com")}
    assert answers == {"mlflow.gift.svc:5000": 200, "127.0.0.1:5000": 200, "evil.example.com": 403}


def _container(owner: str, name: str) -> Object:
    [found] = [
        container
        for pod in pod_templates(render("local"))
        if pod.owner == owner
        for container in pod.containers
        if container["name"] == name
    ]
    return found


def _command(owner: str, name: str, replacements: Mapping[str, str]) -> list[str]:
    program, *arguments = _container(owner, name)["command"]
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    found = shutil.which(program, path=path)
    assert found is not None, f"{program} is not installed"
    for old, new in replacements.items():
        arguments = [argument.replace(old, new) for argument in arguments]
    return [found, *arguments]


def _probe(owner: str) -> str:
    """The path that decides whether the server is ready."""
    path = _container(owner, owner.split()[1])["readinessProbe"]["httpGet"]["path"]
    assert isinstance(path, str)
    return path


@contextmanager
def _server(command: list[str], settings: Mapping[str, str], url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while _status(url, "10.1.2.3:5000") != 200:  # what the kubelet sends
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.2)
            yield process
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()  # its data is the test's own; a graceful end takes SeaweedFS ten seconds
            process.wait()


def _status(url: str, host: str) -> int | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers={"Host": host}), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
