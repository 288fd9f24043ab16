"""Tensors that come and go have the same memory again, not new pages from the kernel; large ones have large pages."""

import subprocess
import sys

from large_pages import only_where_asked_for

FAULTS = """
import resource, torch
from gift.models.host_memory import keep_freed_memory
{first}
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**21) + 1  # 8 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


def _faults(first: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_freed_memory_is_used_again() -> None:
    assert _faults("keep_freed_memory()") < 100


def test_it_would_be_new_memory_otherwise() -> None:
    """Else there is nothing to keep, and the module can go."""
    assert _faults("import ctypes; ctypes.CDLL(None).mallopt(-1, 2**17)") > 2000


HELD = """
import resource, torch
from gift.models.host_memory import keep_freed_memory
keep_freed_memory()
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
small, before = [], megabytes()
for size in range(6):
    whole_model = torch.ones(2**26 + size * 2**22)  # 256 MB and more
    small.append(torch.ones(2**15))  # what outlives it, and lies behind it
    del whole_model
print(int(megabytes() - before))
"""


def test_tensors_of_whole_models_leave_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50


LARGE = """
import resource, torch
from gift.models.host_memory import use_large_pages
{first}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**26)  # 256 MB, or 65,536 pages of 4 kB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@only_where_asked_for
def test_large_tensors_come_in_large_pages_where_the_process_asks_for_them() -> None:
    with_them, without = (
        int(subprocess.run([sys.executable, "-c", LARGE.format(first=first)], capture_output=True, check=True).stdout)
        for first in ("use_large_pages()", "")
    )
    assert without > 60_000
    assert with_them < without / 2  # a kernel whose memory is in pieces gives fewer
