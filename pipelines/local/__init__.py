"""A pipeline on this machine: kfp's local runner, in processes or containers, and the servers beside it.

`runner` and `docker_runner` run the stages, `dead_runs` ends what a killed run left, `services` keeps the S3 and MLflow
servers. May import `pipelines`, `experiments`, `images`, `machine`, `stages`, `execution`, `report`, `preflight`,
`tracking`, `storage`, `config`, `progress`, `host` and `errors`.
"""
