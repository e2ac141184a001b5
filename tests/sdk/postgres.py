"""A PostgreSQL server of the tests' own, which can be stopped and started again."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from processes import free_port, wait_until


class Postgres:
    """A running cluster in a folder; every test takes a database of its own."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.count = 0
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.data = folder / "data"
        self.data.mkdir()
        if os.geteuid() == 0:
            for parent in (folder, *folder.parents):
                if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o777 == 0o700:
                    parent.chmod(0o711)
            shutil.chown(self.data, self.user)
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", str(self.data), "-w", "-o", options, "-l", str(self.data / "log"), "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """Makes an empty database, and returns its URL."""
        self.count += 1
        name = f"mediagate_{self.count}"
        wait_until("a database is made", lambda: self._run(
            "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name))
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> str:
        """All that a database holds, as text."""
        return self._run("pg_dump", "--dbname", url).stdout

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [_find(program), *arguments], cwd="/", check=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
            # The server that pg_ctl leaves behind must not hold a pipe of ours open.
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            user=self.user if os.geteuid() == 0 else None,
        )


def _find(program: str) -> str:
    """Debian keeps the server's programs off PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / program).exists():
            return str(folder / program)
    found = shutil.which(program)
    assert found, f"{program} is not installed; Debian has it in the package postgresql"
    return found
