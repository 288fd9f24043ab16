"""A process of a measurement: `python -m gift.bench.side NAME INPUTS OUTPUTS`, asked and answering through pipes.

The side `inputs` takes no turns: it writes what the others read, so that whoever measures loads no torch.
"""

import os
import sys
from pathlib import Path
from typing import TextIO

from gift.bench.cases import StepCase, read_step_case
from gift.bench.turns import Turns


def main(name: str, inputs: Path, outputs: Path) -> None:
    """Take turns as the side `name` until there is nothing more to do."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no reply
        # Each imports what it alone needs, before `Turns` looks at the memory.
        match name:
            case "inputs":
                from gift.bench.inputs import write_step_inputs

                write_step_inputs(StepCase.model_validate_json(sys.stdin.readline()), inputs)
            case "gift":
                from gift.bench.ours import take_our_turns
                from gift.models.host_memory import use_large_pages

                use_large_pages()  # as the parent of the ranks does
                take_our_turns(inputs, _turns(inputs, replies, outputs))
            case "trl" | "trl-stock":
                # TRL would load it to no purpose, and its memory would count as TRL's.
                sys.modules["vllm"] = None  # type: ignore[assignment]  # how Python says "not to be had"
                from gift.bench.theirs import take_their_turns

                take_their_turns(inputs, _turns(inputs, replies, outputs), completion_only=name == "trl")
            case "matrix":
                from gift.bench.matrix import take_matrix_turns

                take_matrix_turns(read_step_case(inputs), _turns(inputs, replies, outputs))


def _turns(inputs: Path, replies: TextIO, outputs: Path) -> Turns:
    return Turns(sys.stdin, replies, outputs, read_step_case(inputs).device)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
