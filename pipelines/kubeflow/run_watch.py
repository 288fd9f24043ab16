"""What happens to the pods of a run that KFP's own states do not tell, each thing once.

    KFP's copy of the Workflow ──> a stage that starts again, and why; what Argo waits for
    Kubernetes' pods, events   ──> why a pod does not start

Each of them may be out of reach: then the other speaks, or none. Left out: pods that run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gift.errors import GiftError
from pipelines.kubeflow.cluster_run import ClusterRun
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kubernetes_api import KubernetesApi
from pipelines.kubeflow.pod_trouble import explain_wait, kind_of
from pipelines.kubeflow.stuck_pods import pods_of_run, stuck_pods
from pipelines.kubeflow.workflow import FAULTY, StepPod, Workflow, read_stage_error, read_workflow, stage_error_in

Key = tuple[str, ...]
"""What a line is about; of several lines about one thing, the first is shown."""


@dataclass
class RunWatch:
    """One run, looked at now and then."""

    api: KfpApi
    kubernetes: KubernetesApi | None
    run: ClusterRun
    told: set[Key] = field(default_factory=set)

    def look(self, *, quiet: bool) -> Iterator[str]:
        """Lines about what has not been told yet; why pods wait only if nothing has moved for a while (`quiet`)."""
        workflow = self._workflow()
        if workflow is None:
            return
        for key, line in (*self._restarts(workflow), *(self._waits(workflow) if quiet else ())):
            if key not in self.told:
                self.told.add(key)
                yield f"  {line}"

    def failure(self, stage: str | None) -> Iterator[str]:
        """Why a stage failed, in its own last line or in Argo's words; for None, whatever pod failed last."""
        workflow = self._workflow()
        failed = [pod for pod in workflow.pods if pod.phase in FAULTY and stage in (None, pod.step)] if workflow else []
        if workflow and failed:
            yield f"  {failed[-1].step}: {self._why(workflow, failed[-1])}"

    def _workflow(self) -> Workflow | None:
        return read_workflow(self.api, self.run.run_id, self.run.stages)

    def _restarts(self, workflow: Workflow) -> Iterator[tuple[Key, str]]:
        attempts = {(pod.step, pod.attempt) for pod in workflow.pods}
        for pod in workflow.pods:
            key = ("again", pod.step, str(pod.attempt))
            if pod.phase in FAULTY and (pod.step, pod.attempt + 1) in attempts and key not in self.told:
                yield key, f"{pod.step} starts again (attempt {pod.attempt + 2}): {self._why(workflow, pod)}"

    def _why(self, workflow: Workflow, pod: StepPod) -> str:
        """The stage's own last line, where it wrote one; else how Argo calls it."""
        error = read_stage_error(self.api, self.run.run_id, workflow.namespace, pod.pod)
        return error or self._error_in_pod(workflow.namespace, pod.pod) or pod.message or "it gave no reason"

    def _error_in_pod(self, namespace: str, pod: str) -> str | None:
        """From Kubernetes itself, where KFP hands out no logs."""
        if self.kubernetes is None:
            return None
        try:
            log = self.kubernetes.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", container="main")
        except GiftError:
            return None
        return stage_error_in(log or "")

    def _waits(self, workflow: Workflow) -> Iterator[tuple[Key, str]]:
        """From Kubernetes first: it says more than Argo, which then has nothing new."""
        if self.kubernetes is not None:
            try:
                yield from self._seen_by_kubernetes(self.kubernetes, workflow)
            except GiftError as error:
                yield ("kubernetes",), f"why a pod does not start can't be looked up: {error}"
        for pod in workflow.pods:
            if pod.phase == "Pending" and pod.message:
                yield _wait(pod.step, pod.message)

    def _seen_by_kubernetes(self, kubernetes: KubernetesApi, workflow: Workflow) -> Iterator[tuple[Key, str]]:
        pods = pods_of_run(kubernetes, workflow.namespace, self.run.run_id)
        if not pods and any(pod.phase == "Running" for pod in workflow.pods):
            yield (
                ("kubernetes",),
                f"Kubernetes at {kubernetes.address} has no pod of this run in namespace {workflow.namespace}; the "
                f"kubeconfig is another cluster's than that of KFP at {self.api.host}",
            )
        for step, message in stuck_pods(kubernetes, workflow.namespace, pods, self.run):
            yield _wait(step, message)


def _wait(step: str, message: str) -> tuple[Key, str]:
    return ("wait", step, kind_of(message).what), f"{step} does not start: {explain_wait(message)}"
