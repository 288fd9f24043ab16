"""An output that is made once: its address is the digest of everything that decides it, and of nothing else.

    settings of the configuration   inputs' contents   the user's own code and files
    source of the modules that the stage can reach   packages that compute   Python, the image
        ──> "setting rl.steps": "80", "source gift.training.rl": "4be1…", "package torch": "2.13.0", … ──> 16 digits

The manifest of an output keeps these words, so that `gift explain` can name what differs between two of them.

Left out: the kind of CPU or GPU, whose kernels round differently. Whoever changes it, and wants every model of a
comparison evaluated on the new one, sets `compute.device` or another `storage.uri`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from gift.config import digest_of, flatten
from gift.errors import GiftError
from gift.fingerprint.library import reach_in_library
from gift.fingerprint.packages import computing_packages, surroundings
from gift.storage import Manifest, read_manifest

OutputKind = Literal["data", "base-models", "checkpoints", "models", "evaluations", "normalization"]
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
"""What `gift gc` looks through, beside what belongs to one run."""
REMOVAL_LOCK = "locks/gc"
"""Below the storage URI; `gift.retention.collect` holds it while it makes sure that nobody uses an output."""


@dataclass(frozen=True)
class Output:
    """What a stage makes, before it is made."""

    kind: OutputKind
    """Prefix under the storage URI, the same for all outputs of a kind."""
    stage: str
    """Module of the stage; what it can reach counts."""
    settings: Mapping[str, Any]
    """Sections of the configuration and plain values that decide the content, by name."""
    inputs: Mapping[str, str]
    """Name → URI; the content counts, not the address."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else decides, in words of its own: digests of own files, `code …` and `package …` of own code."""
    unused: Collection[str] = ()
    """Modules of `gift.fingerprint.packages.COMPUTING` that the stage can reach, but not with this configuration."""

    def decisions(self) -> dict[str, str]:
        """Everything that decides it, in words.

        Raises:
            GiftError: an input is not there, or not complete.
        """
        return self.decisions_with({name: content_digest(uri) for name, uri in self.inputs.items()})

    def decisions_with(self, contents: Mapping[str, str]) -> dict[str, str]:
        """The same where the inputs' contents (name → digest) are known otherwise."""
        found = reach_in_library(self.stage)
        packages = computing_packages(found.others - set(self.unused))
        return {
            **{f"setting {name}": str(value) for name, value in flatten(dict(self.settings)).items()},
            **{f"input {name}": content for name, content in contents.items()},
            **self.facts,
            **{f"package {name}": version for name, version in packages.items()},
            **{f"source {module}": digest for module, digest in found.digests.items()},
            **surroundings(),
        }


def output_digest(kind: str, decisions: Mapping[str, str]) -> str:
    """What tells an output from others of its kind, in 16 hexadecimal digits."""
    return digest_of(kind, dict(decisions))[:16]


def address(storage: str, kind: str, decisions: Mapping[str, str]) -> str:
    """The URI of the output that `decisions` describe."""
    return f"{storage}/{kind}/{output_digest(kind, decisions)}"


def complete_manifest(uri: str) -> Manifest:
    """Raises: GiftError: there is no complete directory at `uri`."""
    manifest = read_manifest(uri)
    if manifest is None:
        raise GiftError(f"{uri} is not there or not complete; run the stage that makes it first")
    return manifest


def content_digest(uri: str) -> str:
    """Raises: GiftError: there is no complete directory at `uri`."""
    return complete_manifest(uri).digest()
