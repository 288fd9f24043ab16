"""Run by the ranks: several training jobs in the same processes, as a tiny training takes less than their start.

The file that is the argument names the module and the job file of each.
"""

import json
import runpy
import sys
from pathlib import Path


def main() -> None:
    for module, job_file in json.loads(Path(sys.argv[1]).read_text()):
        sys.argv[1] = job_file
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
