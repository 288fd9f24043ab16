"""What containers on this machine get of its environment: addresses, credentials, and the folder of vLLM's weights.

Left out: files that a profile names (`docker_runner.local_inputs`), and the network, which decides whom they reach.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from gift.config import RunConfig
from gift.config.surroundings import VLLM_WEIGHTS, check_server_address, plain_variables, services_of_run
from gift.errors import GiftError
from pipelines.images.describe import Image

LOCAL_SERVICES = ("AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI")
"""The addresses that are ours to set where the environment names no server."""
OF_THIS_MACHINE = ("NO_PROXY", "no_proxy", "GIFT_DATA_DIR", "OMP_NUM_THREADS")
"""What containers get of our environment besides what `gift.config.surroundings` lists; the image decides the rest."""


def check_surroundings(config: RunConfig, *, servers_are_named: bool) -> None:
    """Compare our environment with what the run's containers need.

    Args:
        servers_are_named: else S3 and MLflow are the local ones, whose addresses are not known yet.

    Raises:
        GiftError: an address is missing, or names the container itself; or the weights of a vLLM server have no folder.
    """
    check_server_address(config, os.environ)
    for service in services_of_run(config):
        if servers_are_named or service.address not in LOCAL_SERVICES:
            _check_address(service.address)
    weights = weights_folder(config)
    if config.samples_on_server and (weights is None or not weights.is_dir()):
        raise GiftError(
            f"{VLLM_WEIGHTS} must name a folder that the vLLM server sees under the same path: "
            f"rollout.vllm.placement is server, and containers share no other ({weights or 'it is not set'})"
        )


def container_environment(config: RunConfig, image: Image) -> dict[str, str]:
    """The same for all stages: what any of them gets of our environment, and what the profile decides."""
    names = [*OF_THIS_MACHINE, *(name for service in services_of_run(config) for name in service.variables)]
    passed_on = {name: os.environ[name] for name in names if os.environ.get(name)}
    if data := passed_on.get("GIFT_DATA_DIR"):
        passed_on["GIFT_DATA_DIR"] = str(Path(data).absolute())
    if weights := weights_folder(config):
        passed_on[VLLM_WEIGHTS] = str(weights)
    return passed_on | plain_variables(config) | {"GIFT_IMAGE_DIGEST": image.id}


def weights_folder(config: RunConfig) -> Path | None:
    """Where weights are left for a vLLM server; None where the run uses none, or none is named."""
    named = os.environ.get(VLLM_WEIGHTS)
    return Path(named).absolute() if named and config.samples_on_server else None


def _check_address(name: str) -> None:
    try:
        host = urlsplit(os.environ.get(name, "")).hostname or ""
    except ValueError as error:
        raise GiftError(f"{name} is no address: {error}") from None  # its text may hold a password
    if host == "localhost" or host.startswith("127.") or host == "::1":
        raise GiftError(
            f"{name} names {host}, which inside a container is the container itself: name an address of the server"
            + (", or unset MLFLOW_TRACKING_URI to use the local services" if name in LOCAL_SERVICES else "")
        )
