"""What every stage shares: its MLflow run, its scratch folder, and outputs that are made once.

A stage is a plain function `(stage, **inputs) -> str` from URIs to a URI or a word. `run_stage` is the only way in:
from a KFP component, from the command line and from tests.

The address of an output is the digest of everything that decides it (`output`). So "already made" is a look at one
manifest, and at the names of its files, the same on a laptop and on a cluster, for a second run and a retried task.
"""

import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gift.config import RunConfig, parse_config
from gift.errors import GiftError, printable
from gift.execution.outbox import made_or_waiting
from gift.execution.output import REMOVAL_LOCK, Output, address, content_digest
from gift.host.full_disk import DISK_FULL, temporary_folder
from gift.patience import ServicePatience
from gift.progress import start_log
from gift.storage import compose_directory, download_directory, upload_directory, wait_for_lock, whole_manifest
from gift.tracking import StageRun, stage_run
from gift.tracking.records import OUTPUT_DIGEST_TAG, OUTPUT_TAG, REUSED_TAG


@dataclass(frozen=True)
class Stage:
    """One execution of one stage."""

    name: str
    """With its label: no other stage of the run has it."""
    config: RunConfig
    run_id: str
    """Identity of the pipeline run; the same for all its stages."""
    parent_run_id: str
    """MLflow run of the pipeline run."""
    tracking: StageRun
    """MLflow run of this stage, nested in the parent."""
    patiently: ServicePatience
    """Waits for S3 where it is away; `tracking` waits for MLflow."""

    def make_once(self, output: Output, make: Callable[[Path], dict[str, str]]) -> str:
        """The URI of an output; `make(folder)` is called only where no complete output with the same digest exists.

        Args:
            output: what decides it.
            make: fills the empty folder and returns metadata for its manifest. It writes nothing to MLflow: no
                refusal of the tracker may cost the work.
        """

        def write(uri: str, decided_by: Mapping[str, str]) -> None:
            parents = list(output.inputs.values())
            with scratch_folder() as scratch, made_or_waiting(uri, make, scratch) as made:
                self._until_stored(
                    lambda: upload_directory(
                        made.files, uri, parents=parents, metadata=made.metadata, decided_by=decided_by
                    )
                )

        return self._write_once(output, write)

    def compose_once(self, output: Output, make: Callable[[], tuple[list[str], dict[str, str]]]) -> str:
        """Like `make_once`, for what others write: `make()` returns the URIs of its parts, and metadata."""

        def write(uri: str, decided_by: Mapping[str, str]) -> None:
            parts, metadata = make()
            parents = list(output.inputs.values())
            self._until_stored(
                lambda: compose_directory(uri, parts, parents=parents, metadata=metadata, decided_by=decided_by)
            )

        return self._write_once(output, write)

    def _write_once(self, output: Output, write: Callable[[str, Mapping[str, str]], None]) -> str:
        decisions = self.patiently(output.decisions)
        uri = address(self.config.storage.uri, output.kind, decisions)
        self._keep(uri)
        reused = self.patiently(lambda: whole_manifest(uri)) is not None
        if reused:
            print(f"  unchanged, reused from {uri}", flush=True)
        else:
            write(uri, decisions)
            print(f"  wrote {uri}", flush=True)
        self._tag_output(uri, {REUSED_TAG: "true"} if reused else {})
        return uri

    def _keep(self, uri: str) -> None:
        """From now on nobody removes what is found at `uri`: see `gift.retention.collect`."""
        self.tracking.set_tags({OUTPUT_TAG: uri})
        self.patiently(lambda: wait_for_lock(f"{self.config.storage.uri}/{REMOVAL_LOCK}"))

    def _tag_output(self, uri: str, tags: Mapping[str, str]) -> None:
        digest = self.patiently(lambda: content_digest(uri))
        self.tracking.set_tags({OUTPUT_TAG: uri, OUTPUT_DIGEST_TAG: digest, **tags})

    def hand_through(self, uri: str, reason: str) -> str:
        """The URI of an input that is the output as well, where the stage has nothing to do."""
        print(f"  {reason}: {uri}", flush=True)
        self._tag_output(uri, {})
        return uri

    def make_for_run(self, name: str, parents: list[str], make: Callable[[Path], dict[str, str]]) -> str:
        """The URI of an output that belongs to this run alone, because more than its inputs decides it."""
        uri = f"{self.config.storage.uri}/runs/{self.run_id}/{name}"
        with scratch_folder() as folder:
            metadata = make(folder)
            self._until_stored(lambda: upload_directory(folder, uri, replace=True, parents=parents, metadata=metadata))
        return uri

    def _until_stored(self, store: Callable[[], object]) -> None:
        """What is finished waits for S3 as long as the profile says, on whatever machine."""
        ServicePatience.with_finished_work(self.config)(store)

    def log_files(self, uri: str) -> None:
        """Copy the files of an output to this stage's MLflow run as artifacts. First the output, then the books."""
        with self.fetched(uri) as (folder,):
            for path in sorted(folder.iterdir()):
                self.tracking.log_artifact(path)

    @contextmanager
    def fetched(self, *uris: str, wanted: Sequence[str] = ("*",)) -> Iterator[list[Path]]:
        """Verified local copies of directories in the store, or of the `wanted` files in them; removed afterwards."""
        with scratch_folder() as folder:
            paths = [folder / str(index) for index in range(len(uris))]
            for uri, path in zip(uris, paths, strict=True):
                self.patiently(functools.partial(download_directory, uri, path, wanted=wanted))
            yield paths


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder below `TMPDIR`, removed afterwards; raises as `temporary_folder`."""
    with temporary_folder("gift-") as folder:
        yield folder


@contextmanager
def downloaded(uri: str, *, wanted: Sequence[str] = ("*",)) -> Iterator[Path]:
    """A verified local copy of a directory in the store, or of the `wanted` files in it; removed afterwards.

    Raises:
        DirectoryError: it is not there, not complete, or damaged.
        GiftError: S3 or the disk failed. `Stage.fetched` waits for S3, this does not.
    """
    with scratch_folder() as scratch:
        folder = scratch / "directory"
        download_directory(uri, folder, wanted=wanted)
        yield folder


def run_stage(
    function: Callable[..., str],
    *,
    config: str,
    run_id: str,
    parent_run_id: str,
    label: str = "",
    **inputs: str | dict[str, str],
) -> str:
    """Run one stage as the container's whole work.

    Args:
        function: the stage.
        config: the run's configuration as JSON.
        run_id: identity of the pipeline run.
        parent_run_id: MLflow run that the stage's own run is nested in.
        label: tells two executions of the same stage apart, for example the model that is evaluated.
        inputs: the stage's own arguments.

    Returns:
        What the stage returns.

    Raises:
        SystemExit: with status 1 after one line on stderr, for a fault of the input or the surroundings.
    """
    name = "-".join(part for part in (function.__name__.replace("_", "-"), label) if part)
    start_log(name)
    with exit_on_fault():
        parsed = parse_config(config)
        patiently = ServicePatience.of(parsed)
        with stage_run(parent_run_id, name, patiently) as tracking:
            return function(Stage(name, parsed, run_id, parent_run_id, tracking, patiently), **inputs)


@contextmanager
def exit_on_fault() -> Iterator[None]:
    """A `GiftError` or a full disk becomes one line on stderr and exit status 1; a fault of the code is a traceback."""
    try:
        yield
    except GiftError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _fail(f"the disk is full ({error.filename or tempfile.gettempdir()}); make room or set TMPDIR to another disk")


def _fail(message: str) -> NoReturn:
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    raise SystemExit(1) from None
