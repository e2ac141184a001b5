"""redbot asks one URL in all the ways that a cache or a player might, and writes down what was wrong."""

import json
import subprocess
import sys

import pytest

FAULTS = {"WARN", "BAD"}
# What these are about must be right; caching and connection advice is judged by our own tests.
CATEGORIES = {"RANGE", "VALIDATION"}


@pytest.fixture
def notes(gateway):
    """Runs redbot on a URL; answers with (level, category, id, summary) of everything it noted."""

    def notes(url):
        run = subprocess.run(
            [sys.executable, "-m", "redbot.cli", "-o", "har", url], capture_output=True, text=True, timeout=60, check=True)
        entry = json.loads(run.stdout)["log"]["entries"][0]
        assert entry["response"]["status"] == 200, entry["response"]
        return [(note["level"], note["category"], note["note_id"], note["summary"]) for note in flat(entry["_red_messages"])]

    return notes


def flat(messages):
    for message in messages:
        yield message
        yield from flat(message.get("subnotes", []))


def check(found):
    faults = [note for note in found if note[0] in FAULTS and note[1] in CATEGORIES]
    assert faults == [], faults
    ids = {note[2] for note in found}
    assert {"RANGE_CORRECT", "INM_304", "IMS_304"} <= ids, f"redbot did not test everything: {sorted(ids)}"


def test_redbot_finds_no_range_or_condition_fault_in_a_streamed_image(gateway, keys, notes, image):
    token = keys.hs256.sign(objects=["s3://streamed/*"])
    check(notes(gateway.url(f"/media/streamed/pictures/test%20card.png?token={token}")))


def test_redbot_finds_no_range_or_condition_fault_behind_a_redirect(gateway, anything, notes, image):
    location = gateway.ask("/media/redirected/pictures/test%20card.png", headers=anything)["Location"]
    check(notes(location))
