"""The CPU time of another process, in nanoseconds, and the core that it runs on. Linux only.

`/proc/PID/stat` counts in ticks of 10 ms, and `/proc/PID/schedstat` knows one thread only; the CPU-time clock of a process
has neither fault, and threads that have ended still count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SETTLE = 0.005
"""Seconds to wait between the last answer and a look at the clock: what a process has used since it last slept, or since the
last tick of the kernel, may not have been added to its clock yet. Of a few requests that can be all of it.
"""


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far: all its threads, and the kernel on their behalf."""
    clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) answers: the inverted pid, and 2 for CPUCLOCK_SCHED
    return time.clock_gettime(clock)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def one_core() -> Iterator[None]:
    """Start processes that stay on one core, with all their threads and children. This process gets its cores back.

    Threads of one interpreter that run on several cores get into each other's way: that costs a gunicorn of 4 threads
    twice the CPU time, differently in every run, and hides what is to be measured.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
