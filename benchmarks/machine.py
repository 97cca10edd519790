"""Where the numbers come from: machine, interpreter, packages, server."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from redis_middleware.cli.processes import redis_binary

PACKAGES = (
    "redis-middleware", "redis", "hiredis", "uvicorn", "uvloop", "httptools", "fastapi", "starlette",
    "gunicorn", "flask", "werkzeug", "django",
)  # fmt: skip


def machine() -> dict[str, str]:
    """What the numbers depend on, as names and values. The load average tells who else is at work on the machine."""
    described = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True).stdout.split()
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "server": " ".join(described[:1] + [word for word in described if word.startswith("v=")]),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
