"""Names of processes that no later process has, so that what a dead one left can be told from a living one's."""

from __future__ import annotations

import functools
import os
import socket

import psutil


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
