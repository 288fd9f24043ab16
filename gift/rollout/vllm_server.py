"""A vLLM server of its own, which all ranks sample from and the first one hands new weights to.

The server is started apart from the job, with the base model of the run:

    VLLM_SERVER_DEV_MODE=1 python -m vllm.entrypoints.openai.api_server --model <folder> --dtype <as compute.precision>
        --max-model-len <longest prompt and response> --logprobs-mode processed_logprobs --generation-config vllm

Developer mode is what lets weights be replaced, for whoever reaches the port: keep it inside the job's own network.
`GIFT_VLLM_SERVER` is the server's address. Weights pass through a folder that both sides see under the same path
(`GIFT_VLLM_WEIGHTS`; shared memory or the folder for temporary files if both are on one machine).

The server batches requests as they arrive, so that responses may differ from run to run where two tokens are equally
likely up to rounding. Left out: weights over NCCL, and several servers.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from gift.config.surroundings import VLLM_SERVER
from gift.errors import GiftError
from gift.rollout.vllm import Completion
from gift.rollout.weight_sums import HeldWeight

REQUESTS_AT_ONCE = 64


class VllmServer:
    """A `VllmClient` of the server at `address`, e.g. http://vllm:8000."""

    def __init__(self, address: str, *, ends: Sequence[int], answer_seconds: float) -> None:
        """Raises: GiftError: no vLLM server answers there."""
        self._answer_seconds = answer_seconds
        self._address = address.rstrip("/")
        self._ends = list(ends)
        self._model = str(self._answer("GET", "/v1/models")["data"][0]["id"])

    def load(self, weights: Path) -> None:
        call = {"method": "reload_weights", "kwargs": {"weights_path": str(weights)}}
        self._answer("POST", "/collective_rpc", call)
        if not self._answer("POST", "/reset_prefix_cache")["success"]:
            raise GiftError(
                f"the vLLM server at {self._address} still computes with old weights: somebody else uses it; "
                "give this run a server of its own"
            )

    def held(self) -> list[HeldWeight]:
        """Nothing: its interface calls only what vLLM's workers have themselves. The log-probabilities must tell."""
        return []

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        responses: int,
        max_new_tokens: int,
        *,
        temperature: float,
    ) -> Iterator[tuple[int, list[Completion]]]:
        def ask(prompt: Sequence[int], seed: int) -> list[Completion]:
            body = {
                "model": self._model,
                "prompt": prompt,
                "n": responses,
                "seed": seed,
                "temperature": temperature,
                "top_p": 1.0,
                "top_k": 0,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "max_tokens": max_new_tokens,
                "stop_token_ids": self._ends,
                "ignore_eos": True,  # only ours count
                "logprobs": 0,
                "return_token_ids": True,
            }
            choices = self._answer("POST", "/v1/completions", body)["choices"]
            in_order = sorted(choices, key=lambda choice: choice["index"])
            return [Completion(choice["token_ids"], choice["logprobs"]["token_logprobs"]) for choice in in_order]

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            yield from enumerate(pool.map(ask, prompts, seeds))

    def rest(self) -> None:
        """Nothing to do: its accelerators are its own."""

    def close(self) -> None:
        """Nothing to do: the server belongs to somebody else."""

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            response = requests.request(method, self._address + path, json=body, timeout=self._answer_seconds)
        except requests.RequestException as error:
            raise GiftError(
                f"the vLLM server at {self._address} does not answer ({type(error).__name__}); "
                f"check {VLLM_SERVER} and that the server runs"
            ) from error
        if response.status_code == requests.codes.not_found and path != "/v1/completions":
            raise GiftError(f"{self._address} has no {path}; start the vLLM server with VLLM_SERVER_DEV_MODE=1")
        if not response.ok:
            reason = " ".join(response.text.split())[:300]
            raise GiftError(f"the vLLM server at {self._address} refused {path} ({response.status_code}): {reason}")
        return response.json() if response.content else None
