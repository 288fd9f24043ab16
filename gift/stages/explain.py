"""Why an output is reused or made anew: what would decide it now, beside what decided those that are in the store.

    prepare-data → prepare-model → train-sft → convert-sft → train-policy → convert-candidate → evaluate-…

The stages before the one that is asked about are looked at in order, because their outputs are its inputs; where one of
them will be made anew, so will what follows from it. Nothing is made. The answer holds for the environment that asks:
another image, or other packages, may decide otherwise.

Left out: stages whose outputs belong to one run (gate, register, report), which every run makes; and the champion's
evaluation, as nobody knows who will reign.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gift.config import RunConfig
from gift.errors import GiftError
from gift.execution.output import Output, address, content_digest
from gift.execution.stage import scratch_folder
from gift.hub.mirror import mirrored_data
from gift.stages.convert import converted_output
from gift.stages.evaluate import evaluation_output
from gift.stages.prepare_data import data_output
from gift.stages.prepare_model import base_model_output
from gift.stages.train_policy import policy_output
from gift.stages.train_sft import sft_output
from gift.storage import list_paths, read_manifest, whole_manifest

NEW_RUN = "(a new run)"
ANEW = "made anew by "
"""Stands for the URI, and for the content, of an input that is not there yet; the stage that makes it follows."""

Uris = Mapping[str, str]
"""Stage → URI of its output."""


@dataclass(frozen=True)
class DecisionChange:
    """One thing that decides an output."""

    name: str
    stored: str | None
    """For the output in the store; None where it did not count."""
    now: str | None
    """None where it does not count any more."""


@dataclass(frozen=True)
class Explanation:
    """What becomes of one stage's output."""

    stage: str
    reused: str | None
    """URI of the output that is there."""
    nearest: str | None
    """Where none is reused: URI of the one in the store that differs least, or None where there is none."""
    differences: tuple[DecisionChange, ...]
    """From `nearest`."""


def _outputs(config: RunConfig, run_id: str) -> dict[str, Callable[[Uris], Output | str]]:
    """Each stage's output from those before it, or the one that it hands through, in the order of the pipeline."""
    trains_sft = config.sft.steps > 0
    return {
        "prepare-data": lambda _: data_output(config),
        "prepare-model": lambda at: base_model_output(config, at["prepare-data"]),
        "train-sft": lambda at: (
            sft_output(config, at["prepare-data"], at["prepare-model"]) if trains_sft else at["prepare-model"]
        ),
        "convert-sft": lambda at: (
            converted_output(config, at["train-sft"], at["prepare-model"]) if trains_sft else at["train-sft"]
        ),
        "train-policy": lambda at: policy_output(config, run_id, at["prepare-data"], at["convert-sft"]),
        "convert-candidate": lambda at: converted_output(config, at["train-policy"], at["convert-sft"]),
        "evaluate-base": lambda at: evaluation_output(config, at["prepare-data"], at["prepare-model"], base=True),
        "evaluate-sft": lambda at: evaluation_output(config, at["prepare-data"], at["convert-sft"], base=False),
        "evaluate-candidate": lambda at: evaluation_output(
            config, at["prepare-data"], at["convert-candidate"], base=False
        ),
    }


def explain(config: RunConfig, stage: str, run_id: str | None = None) -> Explanation:
    """What a run with `config` would do for `stage`, and why.

    Args:
        run_id: of a run whose stage would be tried again; None for a new run.

    Raises:
        GiftError: the stage has no output that could be reused, S3 can't be read, or a file of the run's is missing.
    """
    outputs = _outputs(config, run_id or NEW_RUN)
    if stage not in outputs:
        raise GiftError(f"{stage} has no output that is ever reused; choose one of {', '.join(outputs)}")
    uris: dict[str, str] = {}
    with scratch_folder() as folder, mirrored_data(config, folder):
        for name, output_of in outputs.items():
            output = output_of(uris)
            found = (
                _explain_one(config.storage.uri, name, output)
                if isinstance(output, Output)
                else Explanation(name, None if output.startswith(ANEW) else output, None, ())
            )
            uris[name] = found.reused or (output if isinstance(output, str) else f"{ANEW}{name}")
            if name == stage:
                break
    return found


def _explain_one(storage: str, stage: str, output: Output) -> Explanation:
    inputs = {name: uri if uri.startswith(ANEW) else content_digest(uri) for name, uri in output.inputs.items()}
    now = output.decisions_with(inputs)
    uri = address(storage, output.kind, now)
    if whole_manifest(uri) is not None:
        return Explanation(stage, uri, None, ())
    stored = list(_stored(f"{storage}/{output.kind}", output.stage))
    if not stored:
        return Explanation(stage, None, None, ())
    nearest, differences = min(
        ((other, _differences(decided_by, now)) for other, decided_by in stored), key=lambda found: len(found[1])
    )
    return Explanation(stage, None, nearest, differences)


def _stored(prefix: str, stage: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The complete outputs below `prefix` that `stage` has made, with what decided them."""
    for name in sorted({path.partition("/")[0] for path in list_paths(prefix)}):
        manifest = read_manifest(f"{prefix}/{name}")
        if manifest is not None and f"source {stage}" in manifest.decided_by:
            yield f"{prefix}/{name}", manifest.decided_by


def _differences(stored: Mapping[str, str], now: Mapping[str, str]) -> tuple[DecisionChange, ...]:
    return tuple(
        DecisionChange(name, stored.get(name), now.get(name))
        for name in dict.fromkeys((*now, *stored))
        if stored.get(name) != now.get(name)
    )
