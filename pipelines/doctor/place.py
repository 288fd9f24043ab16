"""Where the run's pods will be, and as which account: of KFP's installation, its answers and the profile."""

from dataclasses import dataclass

from pipelines.kubeflow.kubernetes_api import Json

RUNNER = "DEFAULTPIPELINERUNNERSERVICEACCOUNT"
"""KFP's variable for the account of runs that name none."""


@dataclass(frozen=True)
class RunPlace:
    """Of one run."""

    kubeflow: str
    """The namespace of KFP itself."""
    namespace: str
    """Of the run's pods: the user's, or KFP's own where it has no users."""
    account: str | None
    """That the profile names."""

    def account_of(self, api_server: Json | None) -> str:
        """The account of the run's pods; `api_server` is KFP's Deployment, which may name another default."""
        if self.account:
            return self.account
        variables = variables_of(api_server) if api_server else {}
        return str(variables.get(RUNNER, {}).get("value") or self._default)

    @property
    def _default(self) -> str:
        return "pipeline-runner" if self.namespace == self.kubeflow else "default-editor"


def variables_of(deployment: Json) -> dict[str, Json]:
    """The environment of a Deployment's containers by name, each as Kubernetes has it (`value` or `valueFrom`)."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable for container in containers for variable in container.get("env", [])}
