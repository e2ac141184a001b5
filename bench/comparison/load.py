"""Asking one side for one thing for some seconds, and what that cost it."""

import itertools
import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from comparison.cases import Case

SCRIPT = Path(__file__).with_name("load.lua")
# Objects that were never asked for: each call takes the next million.
_MILLIONS = itertools.count(1)
# A browser's, without those of one request.
_HEADERS = {
    "Host": "media.example.org",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    "Accept-Language": "en-GB,en;q=0.5",
    "Referer": "https://app.example.org/",
    "Sec-Fetch-Dest": "image",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
}


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
    _load(side, case, seconds=1)


def ask(side, case: Case, seconds: float) -> Figures:
    before = cpu_seconds(side.pid)
    said = _load(side, case, seconds)
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


def _load(side, case: Case, seconds: float) -> dict:
    target = f"/media/media/{case.target}"
    target += side.query(target)
    headers = {**_HEADERS, "Authorization": f"Bearer {side.token(case.algorithm)}", **({"Range": case.range} if case.range else {})}
    # wrk takes whole seconds only.
    seconds = max(1, round(seconds))
    said, output = (_h2load if case.streams else _wrk)(side, case, target, headers, seconds)
    if not said or said["bad"] or said["lost"] or said["requests"] == 0 and case.size < 1 << 20:
        raise SystemExit(f"{side.name} did not answer {case.name} as it should: {said}\n{output}{side.tail()}")
    return said


def _wrk(side, case: Case, target: str, headers: dict[str, str], seconds: int) -> tuple[dict, str]:
    plan = {"target": target, "first": next(_MILLIONS) * 1_000_000, "rest": case.rest}
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(SCRIPT),
               side.url(tls=case.setting == "tls")]
    environment = {**os.environ, "COMPARE_PLAN": _rows(plan), "COMPARE_HEADERS": _rows(headers)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.partition("FIGURES ")[2] or "{}"), done.stdout + done.stderr


def _rows(values: dict) -> str:
    return "".join(f"{name}\t{value}\n" for name, value in values.items())


def _h2load(side, case: Case, target: str, headers: dict[str, str], seconds: int) -> tuple[dict, str]:
    # Names are in lower case in HTTP/2, and the host is that of the URL.
    given = [part for name, value in headers.items() if name != "Host" for part in ("-H", f"{name.lower()}: {value}")]
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", "-t1", f"-c{case.connections}", f"-m{case.streams}", f"-D{seconds}", f"--log-file={log.name}", *given,
                   side.url(tls=True) + target]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answers = [line.split() for line in log.read().decode().splitlines()]
    output = done.stdout + done.stderr
    took = sorted(int(microseconds) for _, status, microseconds in answers if int(status) == case.status)
    read = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    if not took or read is None or "Application protocol: h2" not in output:
        return {}, output
    return {
        "requests": len(took), "bytes": int(read[1]), "seconds": seconds, "bad": len(answers) - len(took),
        "p50": took[len(took) // 2] / 1e6, "p99": took[len(took) * 99 // 100] / 1e6,
        "lost": sum(int(count) for count in re.findall(r"(\d+) (?:failed|errored|timeout)", output)),
    }, output


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
