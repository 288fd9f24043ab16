"""The MLflow model registry: a version points to a checkpoint in S3, an alias says what it is used for.

`challenger` is the latest candidate, `champion` the model that is used. `versions` registers and looks up, `history` is
the list of all champions, `moves` alone moves the alias `champion`.

Left out on purpose: copying or loading models, and who may become champion (`gift.promotion`). The registry holds the
`s3://` URI, and the reader's own credentials open it. May import `tracking`, `storage` and `errors`.
"""

from gift.registry.history import HISTORY_TAG, Move, MoveKind, champion_before, former_champions, read_history
from gift.registry.moves import ANYONE, LONGEST_REASON, MOVE_SECONDS, ChampionChangedError, move_champion
from gift.registry.versions import (
    CHALLENGER,
    CHAMPION,
    EVALUATION_TAG,
    LOCK_TAG,
    LONGEST_DESCRIPTION,
    MODEL_DIGEST_TAG,
    NOT_PROMOTED_TAG,
    REPORT_TAG,
    VERDICT_TAG,
    Champion,
    RegistryView,
    Standing,
    champion,
    describe_version,
    register_version,
    registered_model,
    registered_version,
    registered_versions,
    set_challenger,
    set_tag,
    standing,
)

__all__ = [
    "ANYONE",
    "CHALLENGER",
    "CHAMPION",
    "EVALUATION_TAG",
    "HISTORY_TAG",
    "LOCK_TAG",
    "LONGEST_DESCRIPTION",
    "LONGEST_REASON",
    "MODEL_DIGEST_TAG",
    "MOVE_SECONDS",
    "NOT_PROMOTED_TAG",
    "REPORT_TAG",
    "VERDICT_TAG",
    "Champion",
    "ChampionChangedError",
    "Move",
    "MoveKind",
    "RegistryView",
    "Standing",
    "champion",
    "champion_before",
    "describe_version",
    "former_champions",
    "move_champion",
    "read_history",
    "register_version",
    "registered_model",
    "registered_version",
    "registered_versions",
    "set_challenger",
    "set_tag",
    "standing",
]
