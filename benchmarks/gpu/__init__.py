"""What `benchmarks/gpu.sh` measures on a GPU: `pack` is for the machine before, and `run` for the one with the GPU.

    run (Python alone) ── a process each, with its own time limit ──> part ──> collectives, memory, step, local_profile

Left out: the services. Nothing here needs S3, MLflow or the network, so that neither the stages nor lm-eval are shown.
"""
