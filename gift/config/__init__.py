"""The typed configuration of a run: one schema, and `profiles/*.yaml` are its instances.

Everything a run does is decided here, before anything starts. Unknown keys, wrong types and values out of range are
refused with one line that names the key and what is allowed. This package loads neither torch nor kfp, because the
command line, the pipelines and every container read it. May import `host` and `errors`.

Left out on purpose: credentials and service addresses. They come from the environment (`gift.config.surroundings` lists
the variables), so that a configuration can be logged, hashed and published as it is.
"""

from gift.config.cluster import ClusterConfig, Resources, Toleration
from gift.config.data import (
    ArithmeticData,
    DapoData,
    DataConfig,
    Gsm8kData,
    JsonLinesData,
    MathData,
    UltraFeedbackData,
    data_folder,
)
from gift.config.evaluation import (
    PARTIAL,
    AnyBenchmark,
    BenchmarkConfig,
    BenchmarkTask,
    ConversionConfig,
    DataSnapshot,
    EvaluationConfig,
    EvaluationVllm,
    FreshArithmetic,
    GateBenchmark,
    GateConfig,
    LmEvalBenchmark,
    asks_base_alone,
    judges_heldout_answers,
    problem_set,
)
from gift.config.health import HealthConfig
from gift.config.models import FolderModel, HubModel, ModelConfig, ModelShape, PackageModel, ScratchModel
from gift.config.objectives import (
    CispoConfig,
    DapoConfig,
    DpoConfig,
    DrGrpoConfig,
    GiftConfig,
    GrpoConfig,
    GspoConfig,
    GvpoConfig,
    OaplConfig,
    UnaConfig,
)
from gift.config.prompt import PromptFormat
from gift.config.reading import load_profile, parse_config, profile_names
from gift.config.rewards import AnswerFormat, FunctionReward, Gsm8kReward, MathReward, ModelReward, RewardConfig
from gift.config.rollout import RolloutConfig, VllmConfig
from gift.config.run import RunConfig, StorageConfig, digest_of, flatten
from gift.config.section import Section
from gift.config.training import (
    ComputeConfig,
    Device,
    GpuConfig,
    LoraConfig,
    OptimizerConfig,
    RlConfig,
    SftConfig,
    Spread,
)

__all__ = [
    "PARTIAL",
    "AnswerFormat",
    "AnyBenchmark",
    "ArithmeticData",
    "BenchmarkConfig",
    "BenchmarkTask",
    "CispoConfig",
    "ClusterConfig",
    "ComputeConfig",
    "ConversionConfig",
    "DapoConfig",
    "DapoData",
    "DataConfig",
    "DataSnapshot",
    "Device",
    "DpoConfig",
    "DrGrpoConfig",
    "EvaluationConfig",
    "EvaluationVllm",
    "FolderModel",
    "FreshArithmetic",
    "FunctionReward",
    "GateBenchmark",
    "GateConfig",
    "GiftConfig",
    "GpuConfig",
    "GrpoConfig",
    "Gsm8kData",
    "Gsm8kReward",
    "GspoConfig",
    "GvpoConfig",
    "HealthConfig",
    "HubModel",
    "JsonLinesData",
    "LmEvalBenchmark",
    "LoraConfig",
    "MathData",
    "MathReward",
    "ModelConfig",
    "ModelReward",
    "ModelShape",
    "OaplConfig",
    "OptimizerConfig",
    "PackageModel",
    "PromptFormat",
    "Resources",
    "RewardConfig",
    "RlConfig",
    "RolloutConfig",
    "RunConfig",
    "ScratchModel",
    "Section",
    "SftConfig",
    "Spread",
    "StorageConfig",
    "Toleration",
    "UltraFeedbackData",
    "UnaConfig",
    "VllmConfig",
    "asks_base_alone",
    "data_folder",
    "digest_of",
    "flatten",
    "judges_heldout_answers",
    "load_profile",
    "parse_config",
    "problem_set",
    "profile_names",
]
