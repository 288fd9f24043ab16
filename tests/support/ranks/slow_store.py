"""Run by the ranks: a training of SFT whose store takes longer for the first checkpoint than training waits."""

import runpy
import time
from pathlib import Path
from typing import Any

from gift.training import resume

PATIENCE_SECONDS = 0.2
UPLOAD_SECONDS = 5.0


def main() -> None:
    upload = resume.upload_directory

    def slow_upload(folder: Path, uri: str, **metadata: Any) -> Any:
        if metadata["step"] == 1:
            time.sleep(UPLOAD_SECONDS)
        return upload(folder, uri, **metadata)

    resume.upload_directory = slow_upload
    resume.PATIENCE_SECONDS = PATIENCE_SECONDS
    runpy.run_module("gift.training.sft", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
