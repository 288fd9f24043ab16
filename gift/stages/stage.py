"""What every stage shares: its MLflow run, its scratch folder, and outputs that are made once.

A stage is a plain function `(stage, **inputs) -> str` from URIs to a URI or a word. `run_stage` is the only way in:
from a KFP component, from the command line and from tests.

The address of an output is the digest of everything that decides it: the stage's part of the configuration, the
digests of its inputs and the digest of this package's source. So "already made" is a look at one manifest, the same on
a laptop and on a cluster, for a second run and for a retried task.
"""

import errno
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gift.config import RunConfig, digest_of, parse_config
from gift.errors import GiftError
from gift.progress import BANNER
from gift.provenance import source_digest
from gift.storage import compose_directory, download_directory, read_manifest, upload_directory
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

    def make_once(
        self, kind: str, decides: list[Any], parents: list[str], make: Callable[[Path], dict[str, str]]
    ) -> str:
        """The URI of an output; `make(folder)` is called only where no complete output with the same digest exists.

        Args:
            kind: prefix under the storage URI, the same for all outputs of a kind.
            decides: configuration sections and plain values that decide the content, besides the parents.
            parents: URIs of the inputs; their content counts, not their address.
            make: fills the empty folder and returns metadata for its manifest.
        """

        def write(uri: str) -> None:
            with scratch_folder() as folder:
                metadata = make(folder)
                if read_manifest(uri) is None:  # else another run was faster, and its output may be in use already
                    upload_directory(folder, uri, parents=parents, metadata=metadata)

        return self._write_once(kind, decides, parents, write)

    def compose_once(
        self, kind: str, decides: list[Any], parents: list[str], make: Callable[[], tuple[list[str], dict[str, str]]]
    ) -> str:
        """Like `make_once`, for what others write: `make()` returns the URIs of its parts, and metadata."""

        def write(uri: str) -> None:
            parts, metadata = make()
            if read_manifest(uri) is None:
                compose_directory(uri, parts, parents=parents, metadata=metadata)

        return self._write_once(kind, decides, parents, write)

    def _write_once(self, kind: str, decides: list[Any], parents: list[str], write: Callable[[str], None]) -> str:
        uri = f"{self.config.storage.uri}/{kind}/{output_digest(kind, decides, parents)}"
        if read_manifest(uri) is not None:
            print(f"  unchanged, reused from {uri}", flush=True)
            self.tracking.set_tags({REUSED_TAG: "true"})
        else:
            write(uri)
            print(f"  wrote {uri}", flush=True)
        self.tracking.set_tags({OUTPUT_TAG: uri, OUTPUT_DIGEST_TAG: content_digest(uri)})
        return uri

    def hand_through(self, uri: str, reason: str) -> str:
        """The URI of an input that is the output as well, where the stage has nothing to do."""
        print(f"  {reason}: {uri}", flush=True)
        self.tracking.set_tags({OUTPUT_TAG: uri, OUTPUT_DIGEST_TAG: content_digest(uri)})
        return uri

    def make_for_run(self, name: str, parents: list[str], make: Callable[[Path], dict[str, str]]) -> str:
        """The URI of an output that belongs to this run alone, because more than its inputs decides it."""
        uri = f"{self.config.storage.uri}/runs/{self.run_id}/{name}"
        with scratch_folder() as folder:
            metadata = make(folder)
            upload_directory(folder, uri, parents=parents, metadata=metadata)
        return uri

    @contextmanager
    def fetched(self, *uris: str) -> Iterator[list[Path]]:
        """Verified local copies of directories in the store, removed afterwards."""
        with scratch_folder() as folder:
            paths = [folder / str(index) for index in range(len(uris))]
            for uri, path in zip(uris, paths, strict=True):
                download_directory(uri, path)
            yield paths


def output_digest(kind: str, decides: list[Any], parents: list[str]) -> str:
    """What tells an output from others of its kind, in 16 hexadecimal digits; see `Stage.make_once`."""
    digests = [content_digest(uri) for uri in parents]
    return digest_of(kind, source_digest(), digests, *decides)[:16]


def content_digest(uri: str) -> str:
    """Raises: GiftError: there is no complete directory at `uri`."""
    manifest = read_manifest(uri)
    if manifest is None:
        raise GiftError(f"{uri} is not there or not complete; run the stage that makes it first")
    return manifest.digest()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder below `TMPDIR`, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="gift-") as name:
        yield Path(name)


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
    print(f"{BANNER}{name}", flush=True)
    with one_line_errors():
        parsed = parse_config(config)
        with stage_run(parent_run_id, name) as tracking:
            return function(Stage(name, parsed, run_id, parent_run_id, tracking), **inputs)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A `GiftError` or a full disk becomes one line on stderr and exit status 1; a fault of the code is a traceback."""
    try:
        yield
    except GiftError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(f"the disk is full ({error.filename or tempfile.gettempdir()}); make room or set TMPDIR to another disk")


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1) from None
