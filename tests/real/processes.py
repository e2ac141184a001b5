"""Programs under test: started with a log file, waited for by what they do, ended with a checked exit code."""

import os
import resource
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

# What runs now, for the report of a failed test.
RUNNING: list["Program"] = []


def free_port() -> int:
    """A port of the loopback address that nobody listened on a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what: str, holds, seconds: float = 20.0, program: "Program | None" = None):
    """Calls `holds` until its answer is true, and returns that answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if answer:
            return answer
        if program is not None and program.process.poll() is not None:
            raise AssertionError(f"{program.name} ended with {program.process.returncode} before {what}:\n{program.tail()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds} s: {what}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody accepts connections at the port."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """A child process whose output goes to a file."""

    def __init__(self, name: str, argv: list[str], folder: Path, env: dict[str, str] | None = None):
        self.name = name
        self.log = folder / f"{name}.log"
        self.process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=_raise_file_limit,
        )
        RUNNING.append(self)

    def tail(self, size: int = 2000) -> str:
        """The end of what the program wrote."""
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def memory(self, field: str = "VmRSS") -> int:
        """One of the kernel's figures for the process, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def stop(self, seconds: float = 40.0) -> int:
        """Asks the program to end, and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = 40.0) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.name} did not end in {seconds} s:\n{self.tail()}") from None
        finally:
            if self in RUNNING:
                RUNNING.remove(self)


def _raise_file_limit() -> None:
    """A thousand clients need more descriptors than the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
