"""The side that knows kfp. At this level there are pipelines only, each a DAG that one can read in a file.

`cli` is the command `gift`; below it `schedules`, `kubeflow` and `local` say where and when a pipeline runs, then come
the DAGs themselves, and under them `experiments`, `images`, `machine` and `install`. Loads no torch.
"""
