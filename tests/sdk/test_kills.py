"""Gateways that are killed in the middle of a sync: the links equal the listing, and no object has two tasks.

    MEDIAGATE_KILL_OBJECTS   objects in the bucket (default: 20000)
    MEDIAGATE_KILLS          kills of two gateways; a gateway alone gets two fifths of them (default: 50)
"""

import json
import os
import random
import secrets
import time

import pytest

from listing import Listing
from processes import wait_until

OBJECTS = int(os.environ.get("MEDIAGATE_KILL_OBJECTS", "20000"))
KILLS = int(os.environ.get("MEDIAGATE_KILLS", "50"))
ENDED = ("completed", "completed_with_errors", "failed", "cancelled")


@pytest.fixture
def listing():
    # Folders of many sizes, so that the sync lists some of them side by side.
    server = Listing([f"img/{at % 37:02}/{at % 5}/{at:05} é.jpg" for at in range(OBJECTS)], page=max(OBJECTS // 200, 10))
    yield server
    server.stop()


class Killed:
    """Gateways over one database, any of which is killed at any moment and started again at once."""

    def __init__(self, studios, listing, seed: int):
        self.studios, self.listing, self.random = studios, listing, random.Random(seed)
        self.run = self.ask("/api/runs", method="POST", body=json.dumps({"storage": "listed"}))["id"]
        self.kills = 0

    def kill(self) -> None:
        victim = self.random.choice(self.studios)
        victim.gateway.kill_and_start()
        self.kills += 1

    def ask(self, target: str, **more):
        """The answer of whichever gateway is up."""
        return json.loads(self.text(target, **more))

    def text(self, target: str, **more) -> str:
        def answer():
            for studio in self.studios:
                try:
                    found = studio.gateway.admin(target, headers=studio.headers(), **more)
                except OSError:
                    continue
                if found.status in (200, 201):
                    return found.body.decode()
            return None

        return wait_until(f"a gateway answers {target}", answer)

    def status(self) -> dict:
        return self.ask(f"/api/runs/{self.run}")


def kill_until_done(studios, listing, kills: int, longest: float) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    listing.pause, listing.one_fails_of = 0.4, 50
    killed = Killed(studios, listing, seed)
    moments = []
    while killed.kills < kills:
        time.sleep(killed.random.uniform(0.02, longest))
        run = killed.status()
        assert run["status"] not in ENDED, f"the run is over after {killed.kills} of {kills} kills: {run}"
        moments.append(run["counters"]["listed"])
        # Kills are to fall from the beginning to the end of the run, however fast this machine is: what is ahead is held.
        if moments[-1] / OBJECTS > 0.8 * killed.kills / kills:
            listing.gate.clear()
        else:
            listing.gate.set()
        killed.kill()
    # What is left is done undisturbed.
    listing.pause, listing.one_fails_of = 0.0, 0
    listing.gate.set()
    run = wait_until("the run has ended", lambda: (run := killed.status())["status"] in ENDED and run, seconds=60)
    print(f"listed at each kill: {moments}; claims: {run['claims']}")
    assert run["status"] == "completed", run
    assert run["claims"] > 1, "no kill hit the one that worked"
    counters = run["counters"]
    assert (counters["created"], counters["listed"], counters["failed"]) == (OBJECTS, OBJECTS, 0), run

    tasks = [json.loads(line) for line in killed.text("/api/tasks?format=ndjson").splitlines()]
    assert len(tasks) == OBJECTS
    assert sorted(task["storage_filename"] for task in tasks) == listing.keys
    assert all(task["data"] == {"$undefined$": f"s3://listed/{task['storage_filename']}"} for task in tasks)

    again = killed.ask("/api/runs", method="POST", body=json.dumps({"storage": "listed"}))["id"]
    again = wait_until("the second run has ended", lambda: (run := killed.ask(f"/api/runs/{again}"))["status"] in ENDED and run, seconds=60)
    assert (again["status"], again["counters"]["created"], again["counters"]["existed"]) == ("completed", 0, OBJECTS), again


def tables(listing) -> dict:
    # A lease that is soon over, so that takeovers are quick.
    return {"storages": [listing.storage("listed", **{"import": "files"})], "sidecar": {"lease": "1s"}}


def test_two_gateways_on_postgres(start_studio, postgres, listing):
    url, key, token = postgres.database(), secrets.token_hex(32), secrets.token_hex(20)
    pair = [start_studio(url, key=key, token=token, **tables(listing)) for _ in range(2)]
    kill_until_done(pair, listing, KILLS, longest=1.5)


def test_one_gateway_on_sqlite(start_studio, tmp_path, listing):
    alone = [start_studio(f"sqlite://{tmp_path}/mediagate.db", **tables(listing))]
    kill_until_done(alone, listing, KILLS * 2 // 5, longest=3.0)
