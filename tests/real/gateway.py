"""The gateway as an operator runs it: the built program, a configuration file, and its two ports."""

import os
from pathlib import Path

from configuration import toml
from garage import REGION, Garage
from processes import Program, free_port, wait_until
from wire import Answer, ask

BINARY = os.environ.get("MEDIAGATE_BINARY", "mediagate")


class Gateway:
    """`mediagate serve` with the given configuration tables, ready when made."""

    def __init__(self, folder: Path, config: dict):
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.config = {
            **config,
            "server": {"listen": f"127.0.0.1:{self.port}", **config.get("server", {})},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}", **config.get("admin", {})},
        }
        self.file = folder / "mediagate.toml"
        self.write(self.config)
        self.start()
        wait_until("the gateway is ready", self.ready, program=self.program)

    def start(self) -> None:
        """Starts the program without waiting for it."""
        self.program = Program("mediagate", [BINARY, "serve", "--config", str(self.file)], self.folder)

    def kill_and_start(self) -> None:
        """Ends the program as a crash does, in the middle of whatever it does, and starts it again at once."""
        self.program.process.kill()
        self.program.wait()
        self.start()

    def write(self, config: dict) -> None:
        """Replaces the configuration file at once, as editors and orchestrators do."""
        new = self.file.with_suffix(".new")
        new.write_text(toml(config))
        new.rename(self.file)

    def ready(self) -> bool:
        try:
            return self.admin("/readyz").status == 200
        except OSError:
            return False

    def admin(self, target: str, **more) -> Answer:
        return ask(self.admin_port, target, timeout=5, **more)

    def ask(self, target: str, **more) -> Answer:
        return ask(self.port, target, **more)

    def url(self, target: str) -> str:
        return f"http://127.0.0.1:{self.port}{target}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of one family's samples that carry these labels."""
        return sum(value for labelled, value in self.samples(name) if labels.items() <= labelled.items())

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The samples of one family. Label values of ours never hold a comma or a quote."""
        found = []
        for line in self.admin("/metrics").body.decode().splitlines():
            head, _, value = line.rpartition(" ")
            family, _, labels = head.partition("{")
            if family == name:
                pairs = (pair.partition("=") for pair in labels.rstrip("}").split(",") if pair)
                found.append(({key: text.strip('"') for key, _, text in pairs}, float(value)))
        return found

    def log(self) -> str:
        """Its whole lines; those of requests come within 10 ms, many at once."""
        whole, end, _ = self.program.log.read_text(errors="replace").rpartition("\n")
        return whole + end

    def stop(self) -> None:
        code = self.program.stop()
        assert code == 0, f"the gateway ended with {code}:\n{self.program.tail()}"


def storage(garage: Garage, bucket: str, delivery: str, **more) -> dict:
    """One `[[storages]]` table over a bucket of the test server."""
    return {
        "name": bucket,
        "bucket": bucket,
        "region": REGION,
        "endpoint": garage.endpoint,
        "addressing": "path",
        "access_key_id": garage.access_key_id,
        "secret_access_key": garage.secret_access_key,
        "delivery": delivery,
        **more,
    }
