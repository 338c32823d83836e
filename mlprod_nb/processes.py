"""Other processes: waiting for what they do, and names that no later one has, so that a dead one's things are known."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable

import psutil

_POLL_SECONDS = 0.05


@functools.cache
def this_process() -> str:
    """Return the name by which this process holds things, on all machines."""
    return f"{socket.gethostname()}/{identity(os.getpid())}"


def identity(pid: int) -> str:
    """Return what tells a process from any other that ever had its number; empty where it has ended."""
    try:
        process = psutil.Process(pid)
        # One that has ended and that nobody took note of has a number still.
        ended = process.status() == psutil.STATUS_ZOMBIE
        return "" if ended else f"{pid}/{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def died_here(holder: str) -> bool:
    """Return whether a process of that name was one of this machine, and has ended."""
    host, _, process = holder.partition("/")
    pid = process.partition("/")[0]
    return host == socket.gethostname() and pid.isdigit() and identity(int(pid)) != process


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds that another process brings about; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
