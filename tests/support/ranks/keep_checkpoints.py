"""Run by the ranks: a training of SFT that removes no checkpoint."""

import runpy

from gift.training import resume


def main() -> None:
    resume.remove_all_but = lambda _uri, _step: None
    runpy.run_module("gift.training.sft", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
