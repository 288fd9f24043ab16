"""Patience with MLflow and S3: a service that restarts under a run costs it minutes, and no work.

KFP starts no failed task again, so whoever gives up after seconds ends the run. Refusals (a key, a bucket that is not
there) are not waited for: they would be the same in ten minutes.

Left out: the metrics of a training, which wait in a spool and never hold it up (`gift.tracking.metrics`). May import
`config` and `errors`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from gift.config import ClusterConfig, RunConfig
from gift.errors import ServiceAwayError

T = TypeVar("T")

SECONDS_ON_ONE_MACHINE = 10.0
"""Beside what each request waits by itself; there, nobody starts a service again."""
PAUSE_SECONDS = 5.0
TELL_SECONDS = 60.0


@dataclass(frozen=True)
class ServicePatience:
    """How long a stage waits for services, each time that it needs them."""

    seconds: float

    @classmethod
    def of(cls, config: RunConfig | None) -> Self:
        """`cluster.service_wait_minutes` in a pod (the default while no profile is read yet), seconds elsewhere."""
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            cluster = config.cluster if config is not None else ClusterConfig()
            return cls(60 * cluster.service_wait_minutes)
        return cls(SECONDS_ON_ONE_MACHINE)

    @classmethod
    def with_finished_work(cls, config: RunConfig) -> Self:
        """`cluster.service_wait_minutes` everywhere: what would be lost takes longer to make again."""
        return cls(60 * config.cluster.service_wait_minutes)

    def __call__(self, action: Callable[[], T]) -> T:
        """What `action` returns; it is called again while a service is away, and may have been half done before.

        Raises:
            ServiceAwayError: the service did not come back in time.
        """
        deadline = time.monotonic() + self.seconds
        told = -TELL_SECONDS
        while True:
            try:
                return action()
            except ServiceAwayError as error:
                now = time.monotonic()
                if now >= deadline:
                    raise
                if now - told >= TELL_SECONDS:
                    told = now
                    print(f"  waiting, for {(deadline - now) / 60:.1f} more minutes at most: {error}", flush=True)
                time.sleep(min(PAUSE_SECONDS, deadline - now))


NO_PATIENCE = ServicePatience(0)
