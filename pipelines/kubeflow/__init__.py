"""A pipeline on Kubeflow Pipelines: compile it, check what was compiled, submit it, follow it.

`cluster_settings` is what every task asks of Kubernetes, `kfp_api` and `kubernetes_api` are the only ways to either
server, `follow` tells how a run goes, `lint` reads the IR of any pipeline. May import `pipelines`, `preflight`,
`storage`, `config`, `progress` and `errors`.
"""
