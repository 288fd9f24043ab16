"""Stage: data configuration → demonstrations, prompts and benchmark problems in the store."""

from pathlib import Path

from gift.data.sources import SPLITS, source_identity, write_splits
from gift.stages.stage import Stage, content_digest


def prepare_data(stage: Stage) -> str:
    """Returns: URI of a folder with sft.jsonl, train.jsonl, heldout.jsonl (see `gift.data.sources`)."""
    config = stage.config

    def make(folder: Path) -> dict[str, str]:
        counts = write_splits(config.data, config.seed, folder)
        return {f"rows.{name}": str(count) for name, count in counts.items()}

    uri = stage.make_once("data", [source_identity(config.data, config.seed)], [], make)
    for name in SPLITS:
        stage.tracking.log_dataset_input(name, f"{uri}/{name}.jsonl", content_digest(uri), context=name)
    return uri
