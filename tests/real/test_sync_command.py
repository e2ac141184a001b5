"""`mediagate sync` in a shell, on a terminal, and beside a gateway that has the database."""

import json
import os
import pty
import re
import select
import signal
import subprocess

import pytest


from configuration import toml
from control import TOKEN, call, task_lines
from gateway import BINARY, storage
from listing import Listing
from processes import Program, free_port, wait_until

OBJECTS = 2500


@pytest.fixture
def listing():
    server = Listing([f"img/{at % 7}/{at:05}.jpg" for at in range(OBJECTS)], page=100)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mixed(garage) -> str:
    """A bucket of files of tasks, some of which are bad."""
    garage.create_bucket("mixed")
    put = lambda key, body: garage.s3.put_object(Bucket="mixed", Key=key, Body=body)
    put("good.jsonl", b'{"n": 1}\n{"n": 2}\n')
    put("bad/lines é.jsonl", b'{"n": 3}\nnot JSON\n{"n": 4}\n')
    put("bad/picture.png", b"\x89PNG\r\n\x1a\n")
    return "mixed"


@pytest.fixture
def tables(garage, listing, mixed, keys) -> dict:
    return {
        "admin": {"token": TOKEN},
        "access": {"keys": [keys.hs256.config]},
        "store": {"url": "sqlite://mediagate.db"},
        "sidecar": {"lease": "1s"},
        "storages": [
            listing.storage("listed", **{"import": "files"}),
            storage(garage, mixed, "stream", **{"import": "tasks"}),
            storage(garage, "streamed", "stream"),
        ],
    }


@pytest.fixture
def shell(tmp_path, tables):
    """Runs the command in a folder with a configuration, as a person does who runs no gateway."""
    (tmp_path / "mediagate.toml").write_text(toml({
        "server": {"listen": f"127.0.0.1:{free_port()}"}, **tables, "admin": {**tables["admin"], "listen": f"127.0.0.1:{free_port()}"}}))
    return lambda *arguments, **more: command(tmp_path, *arguments, **more)


def command(folder, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "sync", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def on_a_terminal(folder, *arguments: str) -> tuple[int, str]:
    """Runs the command on a pseudo terminal: its exit code, and all that was drawn."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BINARY, "sync", *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    drawn = b""
    try:
        while select.select([ours], [], [], 60)[0] and (some := _read(ours)):
            drawn += some
    finally:
        os.close(ours)
    return process.wait(60), drawn.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Nobody has the other end any more.
        return b""


def logged(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_without_a_terminal_there_are_lines_and_one_result(shell):
    done = shell("listed")
    assert (done.returncode, done.stdout) == (0, f"listed: completed: {OBJECTS} seen, {OBJECTS} new\n"), done.stderr
    messages = [line["message"] for line in logged(done.stderr)]
    assert "run begins" in messages and "run ended" in messages
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stderr
    again = shell("listed")
    assert (again.returncode, again.stdout) == (0, f"listed: completed: {OBJECTS} seen, 0 new, {OBJECTS} known\n")


def test_a_storage_may_be_named_by_its_number(shell):
    assert shell("1").stdout.startswith("listed: completed: ")


def refusals(printed: str) -> None:
    lines = printed.splitlines()
    assert lines[0] == "mixed: completed with errors: 3 seen, 4 new, 2 refused"
    assert [line.startswith("  ") for line in lines] == [False, True, True]
    assert "bad/lines é.jsonl" in lines[1] and "line 2" in lines[1], lines
    assert "bad/picture.png" in lines[2] and "Files" in lines[2], lines


def test_what_is_refused_is_named_and_the_exit_code_says_so(shell):
    done = shell("mixed")
    assert done.returncode == 1
    refusals(done.stdout)
    assert done.stderr.splitlines()[-1] == "mediagate: run 1 is completed with errors"


@pytest.mark.parametrize("name, says", [
    ("nobody", ['"nobody"', "listed, mixed, streamed"]),
    ("streamed", ["streamed is not meant to be synced", 'import = "files"']),
])
def test_a_storage_that_cannot_be_synced(shell, name, says):
    done = shell(name)
    assert (done.returncode, done.stdout) == (1, "")
    assert all(words in done.stderr for words in says), done.stderr


def bar(drawn: str) -> None:
    """Drawn over itself on one line, gone at the end, with the result behind it; no log between."""
    assert "\x1b[2K" in drawn and "listed" in drawn, drawn
    assert re.search(r"listed \S+: \d+ seen, \d+ new", drawn), drawn
    assert '"level"' not in drawn, drawn
    assert drawn.replace("\r\n", "\n").rsplit("\x1b[2K", 1)[1].strip() == f"listed: completed: {OBJECTS} seen, {OBJECTS} new", drawn


def test_on_a_terminal_there_is_a_bar(shell, tmp_path, listing):
    listing.pause = 0.3
    code, drawn = on_a_terminal(tmp_path, "listed")
    assert code == 0, drawn
    bar(drawn)


def test_beside_a_gateway_it_asks_that_one(gateways, tables, listing):
    running = gateways(tables)
    done = command(running.folder, "mixed")
    assert done.returncode == 1, done.stderr
    refusals(done.stdout)
    listing.pause = 0.3
    code, drawn = on_a_terminal(running.folder, "listed")
    assert code == 0, drawn
    bar(drawn)
    triggers = {run["trigger"] for run in call(running, "/api/runs")["runs"]}
    assert triggers == {"api"}, "the gateway did the work"
    assert len(task_lines(running)) == OBJECTS + 4


@pytest.mark.parametrize("name, says", [
    ("nobody", ["listed, mixed, streamed"]),
    ("streamed", ["streamed", 'import = "files"']),
])
def test_beside_a_gateway_a_storage_that_cannot_be_synced(gateways, tables, name, says):
    running = gateways(tables)
    done = command(running.folder, name)
    assert (done.returncode, done.stdout) == (1, "")
    assert all(words in done.stderr for words in says), done.stderr


def test_no_storage_is_exported_to_that_tasks_come_from(shell, gateways, tables, tmp_path):
    running = gateways(tables)
    # The first by itself, the second through the gateway.
    for folder in (tmp_path, running.folder):
        done = subprocess.run([BINARY, "export", "listed"], cwd=folder, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "no storage" in done.stderr or "no such storage" in done.stderr, done.stderr
        assert "there are:" not in done.stderr, "a list without names"
    assert call(running, "/api/runs")["runs"] == []


def test_beside_a_gateway_the_token_is_needed(gateways, tables, tmp_path):
    # The first start makes a token, which only the terminal saw.
    running = gateways({**tables, "admin": {}})
    done = command(running.folder, "listed")
    assert done.returncode == 1
    assert "admin.token_file" in done.stderr and "--admin-token-file" in done.stderr, done.stderr
    (tmp_path / "token").write_text("a-wrong-token-0123456789abcdef")
    done = command(running.folder, "listed", "--admin-token-file", str(tmp_path / "token"))
    assert done.returncode == 1 and "the gateway refuses" in done.stderr, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_what_was_interrupted_is_completed_by_the_next_command(shell, tmp_path, listing, number):
    listing.pause = 0.3
    first = Program("sync", [BINARY, "sync", "listed"], tmp_path)
    wait_until("a part of it is done", lambda: re.search(r"[1-9]\d* seen", first.log.read_text()), program=first)
    listing.gate.clear()
    first.signal(number)
    code = first.wait()
    listing.gate.set()
    listing.pause = 0.0
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        assert first.log.read_text().splitlines()[-1] == (
            "mediagate: interrupted; run 1 goes on when a sidecar takes it up, or with this command")
    # The same run goes on behind its last page: nothing of it was known before.
    again = shell("listed")
    assert (again.returncode, again.stdout) == (0, f"listed: completed: {OBJECTS} seen, {OBJECTS} new\n"), again.stderr
    assert {line["run.id"] for line in logged(again.stderr) if "run.id" in line} == {1}


def test_what_was_interrupted_is_completed_by_a_gateway(gateways, tables, listing):
    running = gateways(tables)
    folder = running.folder
    running.stop()
    listing.gate.clear()
    first = Program("sync", [BINARY, "sync", "listed"], folder)
    wait_until("it has begun", lambda: "run begins" in first.log.read_text(), program=first)
    first.signal(signal.SIGINT)
    assert first.wait() == 1
    listing.gate.set()
    running.start()
    wait_until("the gateway is ready", running.ready, program=running.program)
    wait_until("the run has ended", lambda: call(running, "/api/runs/1")["status"] == "completed")
    assert len(task_lines(running)) == OBJECTS


def test_a_run_that_is_only_asked_for_waits_for_a_gateway(gateways, tables):
    running = gateways(tables)
    folder = running.folder
    running.stop()
    done = command(folder, "listed", "--detach")
    assert (done.returncode, done.stdout) == (0, "run 1 is queued; a gateway with the same store takes it\n")
    running.start()
    wait_until("the gateway is ready", running.ready, program=running.program)
    wait_until("the run has ended", lambda: call(running, "/api/runs/1")["status"] == "completed")


def test_a_bucket_that_cannot_be_reached_is_told_of_while_it_is_tried(shell, tmp_path, listing):
    listing.stop()
    trying = Program("sync", [BINARY, "sync", "listed"], tmp_path)
    found = wait_until("it says why nothing happens", lambda: [
        line for line in logged(trying.log.read_text()) if line["level"] == "WARN" and "error" in line], program=trying)
    assert "S3 could not be reached" in found[0]["error"]
    trying.signal(signal.SIGINT)
    assert trying.wait() == 1
