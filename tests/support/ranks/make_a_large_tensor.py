"""Run by the ranks: how many pages a tensor of 256 MB took them from the kernel, printed by rank 0."""

import os
import resource

import torch


def main() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**26)
    if os.environ["RANK"] == "0":
        print(f"pages: {resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}", flush=True)


if __name__ == "__main__":
    main()
