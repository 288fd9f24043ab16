"""The types of what the rules look at in the IR, so that no rule meets a list where it expects a mapping.

Left out: fields that no rule reads; they may be anything.
"""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from gift.errors import GiftError

Mapping = dict[str, Any]
Whole = Annotated[int, Field(ge=0, le=2**53)] | Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]


class _Producer(TypedDict, total=False):
    producerTask: str


class _Source(TypedDict, total=False):
    componentInputParameter: str
    componentInputArtifact: str
    taskOutputParameter: _Producer
    taskOutputArtifact: _Producer
    taskFinalStatus: _Producer
    runtimeValue: Mapping


class _Inputs(TypedDict, total=False):
    parameters: dict[str, _Source]
    artifacts: dict[str, _Source]


class _Reference(TypedDict, total=False):
    name: str


class _TriggerPolicy(TypedDict, total=False):
    condition: str
    strategy: str


class _RetryPolicy(TypedDict, total=False):
    maxRetryCount: Whole
    backoffMaxDuration: Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,15})?s$")]


class _Task(TypedDict, total=False):
    componentRef: _Reference
    inputs: _Inputs
    triggerPolicy: _TriggerPolicy
    cachingOptions: Mapping
    retryPolicy: _RetryPolicy


class _Dag(TypedDict, total=False):
    tasks: dict[str, _Task]


class _InputDefinitions(TypedDict, total=False):
    parameters: dict[str, Mapping]
    artifacts: dict[str, Mapping]


class _Component(TypedDict, total=False):
    dag: _Dag
    executorLabel: str
    inputDefinitions: _InputDefinitions


class _Variable(TypedDict):
    name: str


class _Container(TypedDict, total=False):
    image: str
    command: list[Any]
    args: list[Any]
    env: list[_Variable]
    resources: Mapping


class _Executor(TypedDict, total=False):
    container: _Container


class _Deployment(TypedDict, total=False):
    executors: dict[str, _Executor]


class _Spec(TypedDict, total=False):
    root: _Component
    components: dict[str, _Component]
    deploymentSpec: _Deployment


class _Mount(TypedDict):
    mountPath: str


class _Pod(TypedDict, total=False):
    emptyDirMounts: list[_Mount]
    securityContext: Mapping
    activeDeadlineSeconds: Whole


class _Pods(TypedDict, total=False):
    executors: dict[str, _Pod]


class _Kubernetes(TypedDict, total=False):
    deploymentSpec: _Pods


class _Platforms(TypedDict, total=False):
    kubernetes: _Kubernetes


class _PlatformSpec(TypedDict, total=False):
    platforms: _Platforms


_SPEC, _PLATFORM, _SOURCE = TypeAdapter(_Spec), TypeAdapter(_PlatformSpec), TypeAdapter(_Source)


def check_ir(spec: Mapping, platform: Mapping) -> None:
    """Raises: GiftError: something that a rule looks at is of another type than kfp writes."""
    _check(_SPEC, spec)
    _check(_PLATFORM, platform)


def check_source(value: Mapping) -> None:
    """The same for a reference among Kubernetes settings, which may be anything else; raises as `check_ir`."""
    _check(_SOURCE, value)


def _check(types: TypeAdapter[Any], value: Mapping) -> None:
    try:
        types.validate_python(value, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise GiftError(f"this is no compiled pipeline: {where}: {fault['msg']}") from None
