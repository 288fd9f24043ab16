"""Whether this machine's kernel gives large pages to the processes that ask for them, and to no others."""

from pathlib import Path

import pytest

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")

only_where_asked_for = pytest.mark.skipif(
    not SWITCH.exists() or "[madvise]" not in SWITCH.read_text(), reason="this kernel gives them to nobody, or to all"
)
