"""The local services behind `gift up` and `gift down`: an S3 server (SeaweedFS) and an MLflow tracking server.

Both listen on one address only: 127.0.0.1, or for stages in containers this machine's address on their network. They
outlive the process that started them, and keep their data, logs, process records and random credentials in one folder,
so that starting them again finds everything where it was.

Left out on purpose: TLS and several users. Whoever reaches the address reaches MLflow and SeaweedFS's internal ports,
which ask for no password; a machine shared with people you do not trust wants the cluster's services instead.
"""

import fcntl
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from gift.errors import GiftError
from pipelines.local import server_commands
from pipelines.machine import processes
from pipelines.machine.processes import ProcessRecord

START_SECONDS = 120.0

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """The running services; `environment` is what boto3 and MLflow read to find them (it holds the secret key)."""

    host: str
    s3_port: int
    mlflow_port: int
    environment: dict[str, str] = field(repr=False)
    state_dir: Path


class Credentials(BaseModel):
    """What `credentials.json` (mode 0600) holds."""

    access_key_id: str
    secret_access_key: str


class State(BaseModel):
    """What `services.json` holds; written after every process start, so that a killed `gift up` leaves no orphan."""

    host: str = server_commands.HOST
    s3_port: int
    mlflow_port: int
    s3: ProcessRecord | None = None
    mlflow: ProcessRecord | None = None
    children: tuple[ProcessRecord, ...] = ()
    kept: bool = False
    """`gift up` asked for them: they stay when the last run has ended."""


def start_services(
    state_dir: Path,
    *,
    host: str = server_commands.HOST,
    s3_port: int = 8333,
    mlflow_port: int = 5500,
    bucket: str = "gift",
    keep: bool = True,
) -> Services:
    """Start both services and create `bucket`; services that run already are reused, whatever their ports.

    Args:
        keep: leave them to `stop_services`; else the last one out of `shared_services` stops them.

    Raises:
        GiftError: they run, but on another address than `host`; a port is taken, a program is missing, or a service
            does not get ready (with its last log lines).
    """
    state_dir = state_dir.resolve()
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(state_dir):
            services = running_services(state_dir)
            if services is None:
                _stop(state_dir)  # when only one is left it goes too: it was given the other's old address
                services = _start(state_dir, host, s3_port, mlflow_port, bucket)
            elif services.host != host:
                raise GiftError(
                    f"the services in {state_dir} listen on {services.host}, and here they are needed on {host}: "
                    "run `gift down` first"
                )
            _create_bucket(services, bucket)
            if keep:
                _keep(state_dir)
            return services
    except OSError as error:
        raise GiftError(f"cannot run the services in {state_dir}: {error}") from error


def running_services(state_dir: Path) -> Services | None:
    """The services recorded in `state_dir`, or None unless both are alive."""
    state_dir = state_dir.resolve()
    state = _read(State, state_dir / "services.json")
    if state is None or processes.living(state.s3) is None or processes.living(state.mlflow) is None:
        return None
    return _describe(state_dir, state)


@contextmanager
def shared_services(state_dir: Path, *, host: str, s3_port: int, mlflow_port: int) -> Iterator[Services]:
    """The services for as long as anybody is inside; the last one out stops them, unless `gift up` asked for them.

    Raises:
        GiftError: as `start_services`.
    """
    state_dir = state_dir.resolve()
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = (state_dir / "users").open("w")
    except OSError as error:
        raise GiftError(f"cannot run the services in {state_dir}: {error}") from error
    with users:
        fcntl.flock(users, fcntl.LOCK_SH)  # the kernel takes it back from a run that was killed
        try:
            yield start_services(state_dir, host=host, s3_port=s3_port, mlflow_port=mlflow_port, keep=False)
        finally:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else is inside
            else:
                _stop_unless_kept(state_dir)


def stop_services(state_dir: Path) -> bool:
    """Stop what `start_services` started, with all its children; False when nothing was running.

    Raises:
        GiftError: somebody is inside of `shared_services`.
    """
    state_dir = state_dir.resolve()
    if not state_dir.is_dir():
        return False
    with (state_dir / "users").open("a") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GiftError(
                f"a run uses the services in {state_dir}, and would fail without them: wait for its end, or interrupt "
                "it, then run `gift down` again"
            ) from None
        with _locked(state_dir):
            return _stop(state_dir)


# --- starting and stopping, under the lock -------------------------------------------------------------------------


def _start(state_dir: Path, host: str, s3_port: int, mlflow_port: int, bucket: str) -> Services:
    _require_free_port("S3 server", host, s3_port, "--s3-port")
    _require_free_port("MLflow server", host, mlflow_port, "--mlflow-port")
    if s3_port == mlflow_port:
        raise GiftError(f"the S3 and the MLflow server cannot share port {s3_port}: choose another with --mlflow-port")
    state = State(host=host, s3_port=s3_port, mlflow_port=mlflow_port)
    services = _describe(state_dir, state)
    s3 = server_commands.s3_client(services.environment)
    tracking_uri = services.environment["MLFLOW_TRACKING_URI"]
    try:
        state.s3 = _spawn("seaweedfs", server_commands.seaweedfs_command(host, s3_port), services)
        _write(state, state_dir / "services.json")
        _wait_until(lambda: server_commands.s3_answers(s3), "S3 server", state.s3, state_dir / "seaweedfs.log")
        state.mlflow = _spawn(
            "mlflow", server_commands.mlflow_command(host, mlflow_port, f"s3://{bucket}/mlflow"), services
        )
        _write(state, state_dir / "services.json")
        _wait_until(
            lambda: server_commands.mlflow_answers(tracking_uri),
            "MLflow server",
            state.mlflow,
            state_dir / "mlflow.log",
        )
        family = processes.with_children((state.s3, state.mlflow))
        state.children = tuple(processes.record(process) for process in family)
        _write(state, state_dir / "services.json")
    except BaseException:
        _stop_processes(state)
        (state_dir / "services.json").unlink(missing_ok=True)
        raise
    return services


def _spawn(name: str, command: list[str], services: Services) -> ProcessRecord:
    folder = services.state_dir / name
    folder.mkdir(exist_ok=True)
    settings = {name: value for name, value in services.environment.items() if name.startswith("AWS_")}
    environment = server_commands.server_environment(services.host, settings)
    return processes.spawn(command, folder, environment, services.state_dir / f"{name}.log")


def _keep(state_dir: Path) -> None:
    state = _read(State, state_dir / "services.json")
    if state is not None and not state.kept:
        _write(state.model_copy(update={"kept": True}), state_dir / "services.json")


def _stop_unless_kept(state_dir: Path) -> None:
    with _locked(state_dir):
        state = _read(State, state_dir / "services.json")
        if state is not None and not state.kept:
            _stop(state_dir)


def _stop(state_dir: Path) -> bool:
    state = _read(State, state_dir / "services.json")
    if state is None:
        return False
    stopped = _stop_processes(state)
    (state_dir / "services.json").unlink()
    return stopped


def _stop_processes(state: State) -> bool:
    running = processes.with_children((state.s3, state.mlflow, *state.children))
    left_behind = processes.unix_sockets(running)  # SeaweedFS puts some into /tmp and forgets them there
    processes.stop(running)
    for path in left_behind:
        path.unlink(missing_ok=True)
    return bool(running)


# --- readiness -----------------------------------------------------------------------------------------------------


def _require_free_port(service: str, host: str, port: int, option: str) -> None:
    fault = processes.port_fault(host, port)
    if fault is not None:
        raise GiftError(
            f"port {port} for the {service} is not free on {host} ({fault}): free it, or choose another with {option}"
        )


def _wait_until(answers: Callable[[], bool], service: str, process: ProcessRecord, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        ended = processes.living(process) is None
        if ended or time.monotonic() > deadline:
            fault = "stopped while it was starting" if ended else f"did not answer within {START_SECONDS:.0f} s"
            raise GiftError(f"the {service} {fault}; the end of {log}: {processes.last_lines(log)}")
        time.sleep(0.1)


def _create_bucket(services: Services, bucket: str) -> None:
    client = server_commands.s3_client(services.environment)
    try:
        existing = {entry["Name"] for entry in client.list_buckets()["Buckets"]}
        if bucket not in existing:
            client.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        raise GiftError(
            f"the S3 server on {services.host}:{services.s3_port} runs but gives us no bucket {bucket!r} ({error}): "
            "run `gift down`, then `gift up`"
        ) from error


# --- the files of the state folder ---------------------------------------------------------------------------------


def _describe(state_dir: Path, state: State) -> Services:
    credentials = _credentials(state_dir / "credentials.json")
    environment = {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_ENDPOINT_URL_S3": f"http://{state.host}:{state.s3_port}",
        "MLFLOW_TRACKING_URI": f"http://{state.host}:{state.mlflow_port}",
    }
    return Services(state.host, state.s3_port, state.mlflow_port, environment, state_dir)


def _credentials(path: Path) -> Credentials:
    """The stored credentials; made up at random the first time."""
    credentials = _read(Credentials, path)
    if credentials is None:
        credentials = Credentials(access_key_id=secrets.token_hex(10), secret_access_key=secrets.token_hex(20))
        _write(credentials, path)
    return credentials


def _read(model: type[Model], path: Path) -> Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        # `from None`: the text of the cause may hold the secret key
        raise GiftError(f"{path} is damaged: delete it, then run `gift up` again") from None


def _write(model: BaseModel, path: Path) -> None:
    """Atomically, and readable by nobody else."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    temporary.write_text(model.model_dump_json(), encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """One `gift up` or `gift down` at a time; the second waits for the first."""
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
