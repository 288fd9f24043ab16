"""Copies of public models and data sets in our own store, for clusters that can't (or must not) reach the hub.

    where the hub answers:   hub ── gift mirror push ──> <storage>/mirror/…
    in a stage:              <storage>/mirror/… if it is there, else the hub (which images keep offline by default)

An address holds the commit, so a copy never goes stale; it is verified by its manifest like everything in the store.
Data sets are copied from the data folder where there is one, and then are what that folder says they are: the
manifest's metadata names where a copy came from.
Left out: images and wheels. `gift mirror list` names them; registries and package indexes have tools of their own.
"""

import functools
import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gift.config import DataSnapshot, FolderModel, HubModel, ModelReward, RewardConfig, RunConfig, data_folder
from gift.data.prepare import public_data
from gift.data.public import PublicData, public_rows
from gift.data.snapshots import snapshots_of, write_snapshot
from gift.hub.download import download_model
from gift.patience import ServicePatience
from gift.storage import download_directory, upload_directory, whole_manifest


def hub_models(config: RunConfig) -> list[HubModel]:
    """The models that the run takes from the hub: its base model and its reward models."""
    sources = [config.model, *(reward.model for reward in config.rewards if isinstance(reward, ModelReward))]
    return [source for source in sources if isinstance(source, HubModel)]


def model_uri(config: RunConfig, model: HubModel) -> str:
    """Where the mirror keeps a model."""
    return f"{config.storage.uri}/mirror/models/{model.name}@{model.revision}"


def data_uri(config: RunConfig, data: PublicData) -> str:
    """Where the mirror keeps a split of a data set, as the folder with one file that `data.folder` may name."""
    return f"{config.storage.uri}/mirror/data/{data.address}/{data.name}"


def snapshot_uri(config: RunConfig, data: DataSnapshot) -> str:
    """Where the mirror keeps all splits of a data set."""
    return f"{config.storage.uri}/mirror/data/{data.repository}@{data.revision}/subsets/{data.subset or 'default'}"


def push(config: RunConfig) -> Iterator[str]:
    """Copy what is missing into the mirror, and yield the address of each copy as it is there.

    Raises:
        GiftError: the hub (or the data folder) does not have it.
    """
    for model in hub_models(config):
        uri = model_uri(config, model)
        if whole_manifest(uri) is None:
            with tempfile.TemporaryDirectory(prefix="gift-") as folder:
                download_model(model, Path(folder))
                upload_directory(Path(folder), uri, metadata={"copied_from": "the hub"})
        yield uri
    for data in public_data(config):
        uri = data_uri(config, data)
        if whole_manifest(uri) is None:
            with tempfile.TemporaryDirectory(prefix="gift-") as folder:
                local = data_folder(config.data)
                _write_rows(data, local, Path(folder, f"{data.name}.jsonl.gz"))
                upload_directory(Path(folder), uri, metadata={"copied_from": str(local or "the hub")})
        yield uri
    for task, snapshot in snapshots_of(config).items():
        uri = snapshot_uri(config, snapshot)
        if whole_manifest(uri) is None:
            with tempfile.TemporaryDirectory(prefix="gift-") as folder:
                local = data_folder(config.data)
                write_snapshot(task, snapshot, local, Path(folder))
                upload_directory(Path(folder), uri, metadata={"copied_from": str(local or "the hub")})
        yield uri


def fetch_model(config: RunConfig, model: HubModel, destination: Path) -> None:
    """Put a model into `destination`, from the mirror if it is there.

    Raises:
        GiftError: neither the mirror nor the hub has it.
    """
    uri, patiently = model_uri(config, model), ServicePatience.of(config)
    if patiently(lambda: whole_manifest(uri)) is None:
        download_model(model, destination)
    else:
        patiently(lambda: download_directory(uri, destination))


def with_reward_models(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with every reward model of the hub in a folder below `folder`, where it is put.

    Ranks read a folder: were each to ask the hub or the store, a node would fetch a model once per rank.
    """
    rewards: list[RewardConfig] = []
    for index, reward in enumerate(config.rewards):
        if isinstance(reward, ModelReward) and isinstance(reward.model, HubModel):
            path = folder / str(index)
            fetch_model(config, reward.model, path)
            local = FolderModel(source="folder", path=path, context_length=reward.model.context_length)
            rewards.append(reward.model_copy(update={"model": local}))
        else:
            rewards.append(reward)
    return config.model_copy(update={"rewards": tuple(rewards)})


@contextmanager
def mirrored_data(config: RunConfig, folder: Path) -> Iterator[None]:
    """Inside, `GIFT_DATA_DIR` names `folder` with the mirror's copies, if the mirror has all that the run reads.

    A data folder that the configuration or the environment names comes first.
    """
    uris, patiently = [data_uri(config, data) for data in public_data(config)], ServicePatience.of(config)
    snapshots = {task: snapshot_uri(config, data) for task, data in snapshots_of(config).items()}
    needed = [*uris, *snapshots.values()]
    if data_folder(config.data) or not needed or not patiently(lambda: all(whole_manifest(uri) for uri in needed)):
        yield
        return
    for task, uri in snapshots.items():
        patiently(functools.partial(download_directory, uri, folder / task))
    for index, uri in enumerate(uris):
        patiently(functools.partial(download_directory, uri, folder / str(index)))
        for path in (folder / str(index)).iterdir():
            path.rename(folder / path.name)
    os.environ["GIFT_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["GIFT_DATA_DIR"]


def _write_rows(data: PublicData, folder: Path | None, path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for _, _, row in public_rows(data, folder):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
