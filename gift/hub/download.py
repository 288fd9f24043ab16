"""The Hugging Face hub: models at pinned commits, safetensors only. Code of a repository is never fetched.

`HF_HUB_OFFLINE` (the default in our images), `HF_ENDPOINT` and `HF_TOKEN` are the hub client's own and work as usual.
Left out: the hub client's cache, because stages keep what they fetch in the store; data sets (`gift.data.public`).
"""

import errno
import shutil
from pathlib import Path

from gift.config import HubModel
from gift.errors import GiftError

# Everything a model folder may hold; in particular no pickled weights and no code.
MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer.model", "*.txt", "*.jinja")


def download_model(model: HubModel, destination: Path) -> None:
    """Put the files of a model into `destination`.

    Raises:
        GiftError: the hub can't be reached, has no such model, or has it with pickled weights only.
    """
    import httpx2  # the hub client's own
    from huggingface_hub import snapshot_download  # takes a second to import, and few callers come this far
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(model.name, revision=model.revision, local_dir=destination, allow_patterns=list(MODEL_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise GiftError(
            f"model {model.name} at {model.revision} is not mirrored and can't be loaded from the hub "
            f"({type(error).__name__}); check its name and the connection, or run `gift mirror push` where the hub "
            "can be reached"
        ) from error
    shutil.rmtree(destination / ".cache", ignore_errors=True)
    if not any(destination.glob("*.safetensors")):
        raise GiftError(
            f"model {model.name} at {model.revision} has no safetensors, and pickled weights are never read; convert "
            "it once and use model.source: folder"
        )
