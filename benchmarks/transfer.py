"""How fast a directory goes to S3 and comes back: `gift.storage` and boto3's own calls do it by turns.

    python benchmarks/transfer.py [--megabytes 1000] [--files 4] [--rounds 5]

boto3's `upload_file` and `download_file` are measured with several settings, of which the fastest counts.
`gift.storage` does more in that time: it takes the sha256 of every file, writes a manifest, and compares what came.
Prints the median of MB/s with the least and the most, CPU seconds of this process, and the share of boto3's best.

The S3 server is this machine's own, so that it, too, takes its share of the CPU.
Left out: the CRT client, which ignores the time limits that `gift.storage` needs.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from gift.storage import delete_directory, download_directory, upload_directory
from pipelines.cli.session import session_services
from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

BUCKET, OURS = "gift", "gift.storage"
BOTO3_SETTINGS = ((1, 8, 10), (4, 16, 10), (4, 64, 10))
"""(files at once, MiB of a part, requests of a file at once); 8 and 10 are boto3's own."""
CHUNK = 10**6


@dataclass(frozen=True)
class Way:
    """One of those that are compared."""

    name: str
    upload: Callable[[Path, str], object]
    """From a folder to a prefix of the bucket."""
    download: Callable[[str, Path], object]


@dataclass
class Figures:
    """Of one way, in one direction."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        source.mkdir()
        for number in range(arguments.files):
            _write_random(source / f"{number}.safetensors", arguments.megabytes // arguments.files)
        s3_port, mlflow_port = free_ports(HOST, 2)
        with session_services(Path(scratch, "state"), s3_port, mlflow_port):
            ways = (Way(OURS, _upload, _download), *(_boto3_way(*settings) for settings in BOTO3_SETTINGS))
            uploads, downloads = ({way.name: Figures() for way in ways} for _ in range(2))
            for round_ in range(arguments.rounds):
                for way in ways if round_ % 2 == 0 else reversed(ways):
                    _measure(way, source, Path(scratch, "copy"), uploads[way.name], downloads[way.name])
    size = sum((arguments.megabytes // arguments.files,) * arguments.files)
    for direction, figures in (("up", uploads), ("down", downloads)):
        _print(direction, figures, size)


def _write_random(file: Path, megabytes: int) -> None:
    with file.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(CHUNK))


def _measure(way: Way, source: Path, copy: Path, up: Figures, down: Figures) -> None:
    _time(lambda: way.upload(source, "directory"), up)
    _time(lambda: way.download("directory", copy), down)
    shutil.rmtree(copy)
    delete_directory(f"s3://{BUCKET}/directory")


def _time(transfer: Callable[[], object], figures: Figures) -> None:
    started, cpu = time.monotonic(), time.process_time()
    transfer()
    figures.seconds.append(time.monotonic() - started)
    figures.cpu_seconds.append(time.process_time() - cpu)


def _upload(source: Path, prefix: str) -> None:
    upload_directory(source, f"s3://{BUCKET}/{prefix}")


def _download(prefix: str, destination: Path) -> None:
    download_directory(f"s3://{BUCKET}/{prefix}", destination)


def _boto3_way(files_at_once: int, part_mib: int, requests: int) -> Way:
    client = boto3.session.Session().client("s3", config=Config(max_pool_connections=2 * files_at_once * requests))
    part = part_mib * 2**20
    config = TransferConfig(
        multipart_threshold=part,
        multipart_chunksize=part,
        max_concurrency=requests,
        preferred_transfer_client="classic",
    )

    def upload(source: Path, prefix: str) -> None:
        with ThreadPoolExecutor(files_at_once) as pool:
            files = sorted(source.iterdir())
            list(pool.map(lambda f: client.upload_file(str(f), BUCKET, f"{prefix}/{f.name}", Config=config), files))

    def download(prefix: str, destination: Path) -> None:
        destination.mkdir()
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")["Contents"]
        names = [entry["Key"].removeprefix(f"{prefix}/") for entry in found]
        with ThreadPoolExecutor(files_at_once) as pool:
            list(
                pool.map(
                    lambda n: client.download_file(BUCKET, f"{prefix}/{n}", str(destination / n), Config=config), names
                )
            )

    return Way(f"boto3, {files_at_once} files, {part_mib} MiB, {requests} requests", upload, download)


def _print(direction: str, figures: dict[str, Figures], megabytes: int) -> None:
    best = min(median(found.seconds) for name, found in figures.items() if name != OURS)
    print(f"\n{direction:36}{'MB/s':>8}{'least':>8}{'most':>8}{'CPU s':>8}{'of best':>10}")
    for name, found in figures.items():
        rates = [megabytes / seconds for seconds in found.seconds]
        row = f"{median(rates):8.0f}{min(rates):8.0f}{max(rates):8.0f}{median(found.cpu_seconds):8.1f}"
        print(f"{name:36}{row}{best / median(found.seconds):10.0%}")


if __name__ == "__main__":
    main()
