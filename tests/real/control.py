"""The control port of a gateway, as scripts use it: with the admin token, in JSON."""

import json

from gateway import Gateway
from processes import wait_until

TOKEN = "admin-token-of-the-tests-0123456789"
ENDED = ("completed", "completed_with_errors", "failed", "cancelled")


def call(gateway: Gateway, target: str, method: str = "GET", body=None):
    """What a call answers, which has to be good."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    answer = gateway.admin(target, method=method, headers=headers, body=None if body is None else json.dumps(body))
    assert answer.status in (200, 201), (target, answer.status, answer.body)
    return json.loads(answer.body)


def sync(gateway: Gateway, storage: str) -> dict:
    """Syncs a storage to its end, and returns the run."""
    run = call(gateway, "/api/runs", "POST", {"storage": storage})["id"]
    ended = lambda: (found := call(gateway, f"/api/runs/{run}"))["status"] in ENDED and found
    return wait_until("the run has ended", ended, seconds=60)


def task_lines(gateway: Gateway, query: str = "") -> list[str]:
    """All tasks, each in the text that was answered."""
    answer = gateway.admin(f"/api/tasks?format=ndjson{query}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 200 and answer["Content-Type"] == "application/x-ndjson", answer.body
    return answer.body.decode().splitlines()
