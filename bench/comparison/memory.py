"""Resident memory of connections that do nothing, and of streams whose clients stop reading."""

import resource
import socket
import time
from contextlib import ExitStack

from comparison.load import resident

IDLE = 5000
STALLED = 200
_REQUEST = "GET {target} HTTP/1.1\r\nHost: media.example.org\r\nAuthorization: Bearer {token}\r\n\r\n"


def idle_connection(side) -> float:
    """Bytes for each of 5,000 connections that had one answer of 4 KiB and keep still."""
    return _each(side, IDLE, "4-kib.jpg", read_all=True)


def stalled_stream(side) -> float:
    """Bytes for each of 200 clients that ask for 100 MiB and take nothing."""
    return _each(side, STALLED, "100-mib.mp4", read_all=False)


def _each(side, count: int, target: str, read_all: bool) -> float:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    target = f"/media/media/{target}"
    request = _REQUEST.format(target=target + side.query(target), token=side.token("HS256")).encode()
    before = _settled(side.pid)
    with ExitStack() as opened:
        for _ in range(count):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", side.port), timeout=30))
            client.sendall(request)
            if read_all:
                _read_answer(client)
        return (_settled(side.pid) - before) / count


def _read_answer(client: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += client.recv(65536)


def _settled(pid: int) -> int:
    """Once two looks half a second apart agree to a percent."""
    last = -1
    for _ in range(40):
        now = resident(pid)
        if abs(now - last) * 100 <= now:
            return now
        last = now
        time.sleep(0.5)
    return last
