"""How the ranks of a training job come about, on one node or on several.

    one node:       stage ── one_node ──> rank_parent ── fork ──> rank_program × R, each reads a `rank_job`
                    rank_parent ends a rank that misses a `deadline`; SIGTERM is a `notice` to all of them
    several nodes:  stage ── train_job_follow ──> TrainJob (train_job_manifest) ──> a pod per node
                    pod: node_program ── roll_call, node_link: who is here ──> one_node ──> …
                    train_job_api asks Kubernetes, pod_log prints what the pods say

What the ranks then do is `gift.training`, which is named to them and not imported. May import `system_metrics`,
`preflight`, `models`, `hub`, `tracking`, `storage`, `patience`, `config`, `progress`, `host` and `errors`.
"""
