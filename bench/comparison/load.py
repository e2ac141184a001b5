"""Asking one side for one thing for some seconds, and what that cost it."""

import itertools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.cases import Case

SCRIPT = Path(__file__).with_name("load.lua")
# Objects that were never asked for: each call takes the next million.
_MILLIONS = itertools.count(1)


@dataclass(frozen=True)
class Figures:
    """Of one side in one turn. Seconds and bytes."""

    cpu: float
    rate: float
    mib_per_cpu_second: float
    p50: float
    p99: float
    resident: int


def warm_up(side, case: Case) -> None:
    _wrk(side, case, seconds=1)


def ask(side, case: Case, seconds: float) -> Figures:
    before = cpu_seconds(side.pid)
    said = _wrk(side, case, seconds)
    spent = cpu_seconds(side.pid) - before
    # An answer of 100 MiB that was not ended counts for the part that came.
    requests = said["requests"] if case.size < 1 << 20 else said["bytes"] / case.size
    return Figures(
        cpu=spent / requests,
        rate=requests / said["seconds"],
        mib_per_cpu_second=said["bytes"] / (1 << 20) / spent,
        p50=said["p50"],
        p99=said["p99"],
        resident=resident(side.pid),
    )


def _wrk(side, case: Case, seconds: float) -> dict:
    target = f"/media/media/{case.target}"
    plan = {
        "target": target + side.query(target), "token": side.token(case.algorithm), "range": case.range,
        "first": next(_MILLIONS) * 1_000_000, "rest": case.rest,
    }
    # wrk takes whole seconds only.
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", str(SCRIPT),
               side.url(tls=case.setting == "tls")]
    environment = {**os.environ, "COMPARE_PLAN": "".join(f"{name}\t{value}\n" for name, value in plan.items())}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    said = json.loads(done.stdout.partition("FIGURES ")[2] or "{}")
    if not said or said["bad"] or said["lost"] or said["requests"] == 0 and case.size < 1 << 20:
        raise SystemExit(f"{side.name} did not answer {case.name} as it should: {said}\n{done.stdout}{done.stderr}{side.tail()}")
    return said


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        process = waiting.pop()
        found.append(process)
        for thread in Path(f"/proc/{process}/task").iterdir():
            waiting += map(int, (thread / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """The time that the kernel gave to the threads of a process and of all below it, to the nanosecond."""
    return sum(int((thread / "schedstat").read_text().split()[0])
               for process in tree(pid) for thread in Path(f"/proc/{process}/task").iterdir()) / 1e9


def resident(pid: int) -> int:
    """Resident memory in bytes, shared pages counted once for each process."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")
