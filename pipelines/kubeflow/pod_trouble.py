"""Why a pod does not start: from what Kubernetes, or Argo, says of it to what a person does about it.

Left out: where such a message comes from (`stuck_pods`, `workflow`), and pods that start and then fail.
"""

import re
from dataclasses import dataclass

LONGEST = 400
"""Characters of a message that are shown; a scheduler with many nodes writes pages."""


@dataclass(frozen=True)
class Kind:
    """A kind of trouble; the first whose pattern is found in the message is meant."""

    pattern: str
    what: str
    todo: str


KINDS = (
    Kind(r"exceeded quota", "the quota is used up", "`kubectl describe resourcequota` shows by what"),
    Kind(
        r"ErrImage|ImagePull|InvalidImageName|ImageInspectError|RegistryUnavailable|SignatureValidationFailed",
        "its image can't be pulled",
        "is the digest in the registry, and has the account a pull secret?",
    ),
    Kind(
        r"(?i)secret \"?\S+\"? not found|couldn't find key \S+ in Secret|references non-existent secret key",
        "a Secret or one of its keys is missing",
        "compare with the Secrets that `cluster` names in the profile",
    ),
    Kind(
        r"(?i)persistentvolumeclaim|FailedMount|FailedAttachVolume|volume node affinity",
        "a volume is not there",
        "`kubectl describe pvc` says why",
    ),
    Kind(
        r"Unschedulable|nodes are available|SchedulingGated",
        "no node has room for it",
        "compare `cluster` in the profile with `kubectl describe nodes`",
    ),
    Kind(
        r"(maximum|minimum) \S+ usage per|maximum \S+ limit to request ratio",
        "the LimitRange refuses it",
        "`kubectl describe limitrange` shows what it allows",
    ),
    Kind(r"forbidden|denied the request|is invalid|CreateContainer", "Kubernetes refuses it", "change what it names"),
)
OTHER = Kind("", "it waits", "`kubectl describe pod` says more")


def kind_of(message: str) -> Kind:
    """The kind of trouble that a message of Kubernetes or Argo tells of."""
    return next((kind for kind in KINDS if re.search(kind.pattern, message)), OTHER)


def explain_wait(message: str) -> str:
    """The line for a person: what is wrong, Kubernetes' own words, and what to do."""
    kind = kind_of(message)
    return f"{kind.what} ({message[:LONGEST]}); {kind.todo}"
