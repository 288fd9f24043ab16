"""How groups of responses are sampled."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gift.config.section import MOST_TOGETHER, Count, Gib, Minutes, PositiveFloat, PositiveInt, Section, SomeShare


class VllmConfig(Section):
    """The vLLM engine: a process beside each rank, or a server of its own whose address `GIFT_VLLM_SERVER` gives."""

    placement: Literal["beside-rank", "server"] = "beside-rank"
    tensor_parallel: PositiveInt = 1
    """Neighbouring ranks that share one engine, which is spread over their GPUs."""
    gpu_memory_share: SomeShare = 0.4
    """Of a GPU's memory, for vLLM's weights and key-value cache while it is awake."""
    cpu_cache_gib: Gib = 0.5
    """Key-value cache per engine on CPU, in GiB."""
    threads: PositiveInt = 1
    """CPU threads per engine."""
    max_difference: PositiveFloat = 0.1
    """Largest mean absolute difference, in nats per token, of the engine's and the trainer's log-probabilities. In
    bf16, logits of 16 and more are rounded to eighths, and 0.04 is normal; in fp32, 1e-5 is. After a sync of weights it
    may also not be more than ten times what it was at start-up."""

    @model_validator(mode="after")
    def server_spreads_itself(self) -> Self:
        if self.placement == "server" and self.tensor_parallel > 1:
            raise ValueError("tensor_parallel is for placement: beside-rank; a server is started with its own")
        return self


class RolloutConfig(Section):
    """Sampling of groups of responses (top_p 1 and no top_k, so that nothing is cut)."""

    engine: Literal["transformers", "vllm"] = "transformers"
    group_size: Annotated[int, Field(ge=2, le=MOST_TOGETHER)] = 8
    temperature: PositiveFloat = 1.0
    max_prompt_tokens: PositiveInt
    max_new_tokens: PositiveInt
    refill_rounds: PositiveInt = 4
    """With `zero_variance: refill`, how often a step may sample more prompts before it goes on with what it has."""
    lag: Count = 0
    """How many steps a batch waits: step s learns from responses of the policy as it was before step s − lag (the first
    ones of the policy that training begins with). 0 is on-policy."""
    timeout_minutes: Minutes = 30.0
    """For one call of the engine, with all responses of a rank, or one sync of weights; a rank that takes longer is
    ended, and named."""
    vllm: VllmConfig = VllmConfig()

    @model_validator(mode="after")
    def server_has_the_engine(self) -> Self:
        if self.engine != "vllm" and self.vllm.placement == "server":
            raise ValueError(f"vllm.placement: server is for engine: vllm (got {self.engine})")
        return self
