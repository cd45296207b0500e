"""Figures that several benchmarks make. Knows no Django."""

import argparse
import os
from pathlib import Path
from statistics import median

from tests.yardstick import FIXED_WORK_SECONDS, fixed_work


def options_of(doc: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark, whose `--help` says what it measures."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def cpu_seconds(pids: list[int]) -> float:
    """Processor time used so far by these processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def scaled(processor: float) -> float:
    """Processor time as it would be on the machine that bounds are meant for: one that has rested runs slowly."""
    return processor * FIXED_WORK_SECONDS / median(fixed_work() for _ in range(3))


def machine() -> str:
    """How busy and how slow this machine is just now: without it no two figures can be compared."""
    work = min(fixed_work() for _ in range(3))
    return (
        f"load average {os.getloadavg()[0]:.1f}, fixed work {work:.2f} s (bounds are meant for {FIXED_WORK_SECONDS} s)"
    )
