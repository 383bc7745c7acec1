"""The machine: what it is, and who used its processors while something was measured. Reads /proc; Linux only."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import processor

TICKS = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, Any]:
    """Figures hold for this machine and these versions only."""
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    return {
        "processor": processor(),
        "instructions": [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if name in flags],
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "adaptive_engine": version("adaptive-engine"),
        "openvino": version("openvino"),
        "openvino_genai": version("openvino-genai"),
    }


def version_in(python: Path, package: str) -> str:
    """Of a package in another environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(stat)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def memory_mib(pids: Iterable[int], field: str = "VmRSS") -> float:
    """Resident memory of the processes; `VmHWM` sums the peaks of each."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return total / 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """Used so far, with that of children which have ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(Path(f"/proc/{pid}/stat"))
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / TICKS


def busy_seconds() -> float:
    """Of all processors so far; with what the hypervisor gave to other machines."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class Others:
    """What share of the processors is used by anybody but this process and its descendants, from here on."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._busy = busy_seconds()
        self._own = cpu_seconds(tree(os.getpid()))

    def share(self) -> float:
        seconds = (time.perf_counter() - self._start) * (os.cpu_count() or 1)
        foreign = busy_seconds() - self._busy - (cpu_seconds(tree(os.getpid())) - self._own)
        return max(foreign, 0.0) / seconds


def _stat(path: Path) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
