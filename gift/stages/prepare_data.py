"""Stage: data configuration → demonstrations, prompts and benchmark problems in the store."""

from pathlib import Path

from gift.config import RunConfig
from gift.data.prepare import data_settings, write_data
from gift.data.splits import SPLITS
from gift.execution.output import Output, complete_manifest
from gift.execution.stage import Stage, scratch_folder
from gift.hub.mirror import mirrored_data


def data_output(config: RunConfig) -> Output:
    """Where public data are mirrored, inside `gift.hub.mirror.mirrored_data`."""
    return Output("data", __name__, data_settings(config), {})


def prepare_data(stage: Stage) -> str:
    """Returns: URI of a folder with sft.jsonl, train.jsonl, heldout.jsonl (see `gift.data.prepare`)."""
    config = stage.config

    def make(folder: Path) -> dict[str, str]:
        counts = write_data(config, folder)
        for name, count in counts.items():
            if count and not name.startswith("rows.") and not name.endswith(".problems"):
                print(f"  {name}: {count:,}", flush=True)
        return {name: str(count) for name, count in counts.items()}

    with scratch_folder() as folder, mirrored_data(config, folder):
        uri = stage.make_once(data_output(config), make)
    made = stage.patiently(lambda: complete_manifest(uri))
    for name in SPLITS:
        stage.tracking.log_dataset_input(name, f"{made.folder(uri)}/{name}.jsonl", made.digest(), context=name)
    return uri
