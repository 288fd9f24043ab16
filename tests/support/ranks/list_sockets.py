"""Run by the ranks: they meet, work together once, and rank 0 leaves what sockets all listen on."""

import json
import os
import sys
from pathlib import Path

import psutil
import torch
import torch.distributed as dist

from gift.config import ComputeConfig
from gift.training.engine import initialize_ranks


def main(job: dict) -> None:
    initialize_ranks(ComputeConfig(ranks=2, device="cpu"))
    dist.all_reduce(torch.ones(2))
    dist.barrier()
    if dist.get_rank() == 0:
        parent = psutil.Process(os.getppid())
        listening = [
            (process.pid, connection.laddr.ip)
            for process in (parent, *parent.children(recursive=True))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        Path(job["sockets"]).write_text(json.dumps(listening))
    dist.barrier()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
