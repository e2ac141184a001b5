"""Syncs through the official client: asked for, polled, and read back through our own task API."""

import datetime
import gzip
import json

import pytest

from listing import Listing
from processes import wait_until

GOOD_LINES = b'{"data": {"image": "s3://synced/img/0.jpg"}, "meta": {"n": 1}}\n\n{"image": "s3://synced/img/1.jpg"}\n'
BAD_LINES = b'{"image": "s3://synced/img/2.jpg"}\n{"image": }\n[1, 2]\n{"image": "s3://synced/img/3.jpg"}\n'
TIMES = ["time_queued", "time_in_progress", "time_last_ping", "time_completed"]


@pytest.fixture(scope="session")
def filled(garage) -> str:
    """A bucket with pictures and files of tasks."""
    garage.create_bucket("synced")
    put = lambda key, body: garage.s3.put_object(Bucket="synced", Key=key, Body=body)
    for number in range(7):
        put(f"img/{number}.jpg", b"jpeg")
    put("img/deep/7.jpg", b"jpeg")
    put("img/notes.txt", b"text")
    put("img/folder/", b"")
    put("tasks/lines.jsonl", GOOD_LINES)
    put("tasks/list.json", b"\xef\xbb\xbf" + json.dumps([{"text": f"item {at}"} for at in range(3)]).encode())
    put("tasks/packed.ndjson.gz", gzip.compress(b'{"text": "packed"}\n'))
    put("bad/lines.jsonl", BAD_LINES)
    put("bad/picture.jpg", b"\xff\xd8\xff\xe0 a picture")
    put("bad/good.json", b'{"text": "good"}')
    return "synced"


@pytest.fixture
def listing():
    server = Listing([f"img/{number:03}.jpg" for number in range(250)], page=100)
    yield server
    server.stop()


@pytest.fixture
def source(good, filled) -> dict:
    return {**good, "bucket": filled, "use_blob_urls": True, "presign": False}


def tasks(studio, storage: int) -> list[dict]:
    answer = studio.gateway.admin(f"/api/tasks?storage={storage}&format=ndjson", headers=studio.headers())
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def synced(storages, storage: int):
    """Syncs as a script would: asks, polls, and returns what the storage says at the end."""
    asked = storages.sync(id=storage)
    assert asked.id == storage and asked.status in ("queued", "in_progress", "completed"), asked
    return wait_until("the sync has ended", lambda: ended(storages, storage))


def ended(storages, storage: int):
    found = storages.get(id=storage)
    return found if found.status in ("completed", "completed_with_errors", "failed") else None


def test_a_sync_makes_a_task_of_each_file_once(studio, source):
    s3 = studio.client.import_storage.s3
    made = s3.create(**source, regex_filter=r".*\.jpg", recursive_scan=True)
    assert (made.status, made.last_sync, made.last_sync_count, made.meta) == ("initialized", None, None, {})
    done = synced(s3, made.id)
    assert (done.status, done.last_sync_count, done.traceback) == ("completed", 8, None)
    assert done.last_sync_job and datetime.datetime.now(datetime.timezone.utc) - done.last_sync < datetime.timedelta(minutes=1)
    assert (done.meta["attempts"], done.meta["tasks_existed"]) == (1, 0)
    # Label Studio's times are what Python prints of a datetime.
    times = [datetime.datetime.fromisoformat(done.meta[name]) for name in TIMES]
    assert times[0] <= times[1] <= times[2] and times[3] == done.last_sync and times[0].tzinfo
    assert isinstance(done.meta["duration"], float) and "time_failure" not in done.meta
    assert next(storage for storage in s3.list(project=7) if storage.id == made.id).dict() == done.dict()

    found = tasks(studio, made.id)
    keys = [f"img/{number}.jpg" for number in range(7)]
    assert sorted(task["storage_filename"] for task in found) == sorted([*keys, "img/deep/7.jpg"])
    assert {task["project"] for task in found} == {"7"} and {task["row"] for task in found} == {None}
    one = studio.gateway.admin(f"/api/tasks/{found[0]['id']}", headers=studio.headers())
    assert json.loads(one.body)["data"] == {"$undefined$": f"s3://synced/{found[0]['storage_filename']}"}

    again = synced(s3, made.id)
    assert (again.status, again.last_sync_count) == ("completed", 0)
    assert (again.meta["attempts"], again.meta["tasks_existed"]) == (2, 8)
    assert tasks(studio, made.id) == found


def test_one_level_is_label_studios_default(studio, source):
    s3 = studio.client.import_storage.s3
    made = s3.create(**{**source, "project": 71})
    assert synced(s3, made.id).last_sync_count == 8
    assert {task["storage_filename"] for task in tasks(studio, made.id)} == {f"img/{n}.jpg" for n in range(7)} | {"img/notes.txt"}


def test_files_of_tasks_become_their_items(studio, source):
    s3 = studio.client.import_storage.s3
    made = s3.create(**{**source, "prefix": "tasks", "use_blob_urls": False})
    done = synced(s3, made.id)
    assert (done.status, done.last_sync_count, done.traceback) == ("completed", 6, None)
    found = {(task["storage_filename"], task["row"]): task for task in tasks(studio, made.id)}
    assert found["tasks/lines.jsonl", 0]["data"] == {"image": "s3://synced/img/0.jpg"}
    assert found["tasks/lines.jsonl", 0]["meta"] == {"n": 1}
    assert found["tasks/lines.jsonl", 1]["data"] == {"image": "s3://synced/img/1.jpg"}
    assert [found["tasks/list.json", at]["data"] for at in range(3)] == [{"text": f"item {at}"} for at in range(3)]
    assert found["tasks/packed.ndjson.gz", 0]["data"] == {"text": "packed"}
    assert synced(s3, made.id).last_sync_count == 0


def test_a_bad_file_is_named_and_the_rest_is_synced(studio, source, garage):
    s3 = studio.client.import_storage.s3
    made = s3.create(**{**source, "prefix": "bad", "use_blob_urls": False})
    done = synced(s3, made.id)
    assert (done.status, done.last_sync_count, done.meta["tasks_failed_validation"]) == ("completed_with_errors", 3, 3)
    assert done.last_sync and done.meta["time_completed"]
    lines = done.traceback.splitlines()
    for words in (["bad/lines.jsonl", "line 2"], ["bad/lines.jsonl", "line 3"], ["bad/picture.jpg", "Files"]):
        assert any(all(word in line for word in words) for line in lines), (words, done.traceback)
    assert {(task["storage_filename"], task["row"]) for task in tasks(studio, made.id)} == {
        ("bad/good.json", 0), ("bad/lines.jsonl", 0), ("bad/lines.jsonl", 3)}
    again = synced(s3, made.id)
    assert again.last_sync_count == 0 and len(tasks(studio, made.id)) == 3


def test_a_sync_returns_before_its_work_is_done(studio, source, listing):
    s3 = studio.client.import_storage.s3
    made = s3.create(**{**source, "bucket": "held-back", "s3endpoint": listing.endpoint, "recursive_scan": True})
    listing.gate.clear()
    asked = s3.sync(id=made.id)
    assert asked.status in ("queued", "in_progress")
    running = wait_until("it is being worked on", lambda: (found := s3.get(made.id)).status == "in_progress" and found)
    assert running.meta["time_in_progress"] and "time_completed" not in running.meta and running.last_sync is None
    # Another request, or a retry of the client's own, joins the sync that is under way.
    assert s3.sync(id=made.id).last_sync_job == running.last_sync_job
    listing.gate.set()
    done = wait_until("the sync has ended", lambda: ended(s3, made.id))
    assert (done.status, done.last_sync_count, done.last_sync_job) == ("completed", 250, running.last_sync_job)
    assert done.meta["attempts"] == 1


def test_a_bucket_that_refuses_fails_the_sync_with_the_reason(studio, source, listing):
    s3 = studio.client.import_storage.s3
    made = s3.create(**{**source, "bucket": "shut", "s3endpoint": listing.endpoint})
    listing.is_refusing = True
    failed = synced(s3, made.id)
    assert failed.status == "failed" and failed.meta["time_failure"] and failed.last_sync is None
    assert "cannot be listed" in failed.traceback, failed.traceback
    listing.is_refusing = False
    done = synced(s3, made.id)
    assert (done.status, done.last_sync_count, done.traceback, done.meta["attempts"]) == ("completed", 250, None, 2)


def test_two_storages_of_a_project_do_not_double_an_object(studio, source):
    s3 = studio.client.import_storage.s3
    first, second = (s3.create(**{**source, "project": 72, "title": title}) for title in ("first", "second"))
    assert (synced(s3, first.id).last_sync_count, synced(s3, second.id).last_sync_count) == (8, 0)


@pytest.fixture
def role_source(role) -> dict:
    # Not the bucket of the targets, whose test leaves an object of its own in it.
    return {**role, "bucket": "role-synced", "presign": False}


def test_a_role_storage_syncs(studio, role_source):
    s3s = studio.client.import_storage.s3s
    made = s3s.create(**role_source, use_blob_urls=True)
    done = synced(s3s, made.id)
    assert (done.status, done.last_sync_count, done.type) == ("completed", 1, "s3s"), done.traceback
    assert [task["data"] for task in tasks(studio, made.id)] == [{"$undefined$": "s3://role-synced/img/a.jpg"}]
    again = synced(s3s, made.id)
    assert (again.last_sync_count, again.meta["tasks_existed"]) == (0, 1)


def test_a_role_storage_reads_files_of_tasks(studio, role_source):
    s3s = studio.client.import_storage.s3s
    made = s3s.create(**{**role_source, "prefix": "tasks", "use_blob_urls": False})
    done = synced(s3s, made.id)
    assert (done.status, done.last_sync_count) == ("completed_with_errors", 2), done.traceback
    assert "tasks/broken.json" in done.traceback
    assert [task["data"]["n"] for task in tasks(studio, made.id)] == [1, 2]
