"""Clients that stall, leave or come in crowds: what they cost, and that nothing of theirs stays."""

import contextlib
import hashlib
import signal
import socket
import struct
import time

import pytest

from gateway import storage
from processes import wait_until

SIZE = 100 << 20
CLIENTS = 1000
# What they may cost in resident memory, over what the program takes when it has served nobody.
BUDGET = 128 << 20


@pytest.fixture(scope="module")
def big(garage):
    """The SHA-256 of an object of 100 MiB."""
    piece = hashlib.sha256(b"big").digest() * 32768
    garage.s3.put_object(Bucket="streamed", Key="big.bin", Body=piece * 100)
    return hashlib.sha256(piece * 100).hexdigest()


@pytest.fixture
def lone(gateways, garage, keys, big):
    """A gateway that has served nobody yet, so that its memory and its gauges are this test's own."""
    return gateways({
        "server": {"max_connections_per_client": 0, "write_timeout": "90s"},
        "limits": {"streams_per_client": 0},
        "access": {"keys": [keys.hs256.config]},
        "storages": [storage(garage, "streamed", "stream")],
    })


@pytest.fixture
def download(keys):
    """Begins a download and leaves the socket to the test."""
    token = keys.hs256.sign(objects=["s3://streamed/big.bin"])

    def download(gateway, first=0, window=65536):
        client = socket.socket()
        # A small window: what the kernel keeps for a stalled client is not what this is about.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        client.settimeout(60)
        client.connect(("127.0.0.1", gateway.port))
        client.sendall((
            f"GET /media/streamed/big.bin HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n"
            f"Authorization: Bearer {token}\r\nRange: bytes={first}-\r\nConnection: close\r\n\r\n"
        ).encode())
        return client

    return download


def in_flight(gateway):
    return gateway.metric("mediagate_streams_in_flight")


def test_a_client_that_leaves_in_the_middle_releases_its_stream(lone, download):
    client = download(lone)
    client.recv(65536)
    wait_until("the stream is counted", lambda: in_flight(lone) == 1)
    # A reset rather than an orderly end, as when a browser's tab is closed with data unread.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until("the stream is released", lambda: in_flight(lone) == 0, seconds=10)


def test_a_client_that_reads_slowly_gets_every_byte(lone, download, big):
    client, digest, got = download(lone), hashlib.sha256(), 0
    head, _, rest = receive_head(client)
    assert head.startswith(b"HTTP/1.1 206"), head
    digest.update(rest)
    for n in range(40):
        digest.update(client.recv(65536))
        time.sleep(0.01)
    while piece := client.recv(1 << 20):
        digest.update(piece)
    assert digest.hexdigest() == big


def test_the_end_of_a_slow_download_outlives_the_signal_to_end(lone, download):
    # HTTP lets go of an answer once it has all of it. What the client still had to take was cut five seconds after SIGTERM.
    length = 1 << 20
    with contextlib.closing(download(lone, first=SIZE - length, window=2048)) as client:
        head, _, rest = receive_head(client)
        assert head.startswith(b"HTTP/1.1 206"), head
        taken = len(rest)
        while in_flight(lone):
            taken += len(client.recv(16384))
        assert taken < length, "the kernel holds all of it, so that this tests nothing"
        lone.program.signal(signal.SIGTERM)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            taken += len(client.recv(64))
            time.sleep(0.05)
        while piece := client.recv(65536):
            taken += len(piece)
    assert taken == length
    assert lone.program.wait(10) == 0


def test_a_thousand_clients_that_stop_reading_cost_little_memory(lone, download, capsys):
    idle = lone.program.memory()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(download(lone, first=SIZE // 2, window=4096)) for _ in range(CLIENTS)]
        for client in clients:
            head, _, rest = receive_head(client)
            assert head.startswith(b"HTTP/1.1 206"), head
            read_more(client, 65536 - len(rest))
        wait_until("all streams are open", lambda: in_flight(lone) == CLIENTS)
        stalled = settled(lone.program.memory)
        peak = lone.program.memory("VmHWM")
        with capsys.disabled():
            print(f"\n{CLIENTS} stalled clients cost {mib(stalled - idle)}: VmRSS {mib(stalled)}, idle {mib(idle)}, peak {mib(peak)}")
        assert stalled - idle <= BUDGET
        # They stall, they are not dead: one that reads again gets the rest of its object.
        clients[CLIENTS // 2].settimeout(60)
        left = SIZE - SIZE // 2 - 65536
        assert len(read_more(clients[CLIENTS // 2], left)) == left
    wait_until("all streams are released", lambda: in_flight(lone) == 0, seconds=30)


def receive_head(client):
    """The head of the answer, and what of the body came with it."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = client.recv(4096)
        assert piece, got
        got += piece
    return got.partition(b"\r\n\r\n")


def read_more(client, size):
    got = bytearray()
    while len(got) < size:
        piece = client.recv(min(size - len(got), 1 << 20))
        assert piece, f"the body ended after {len(got)} of {size} bytes"
        got += piece
    return got


def settled(figure, tolerance=1 << 20):
    """A figure once it has stopped growing."""
    before = figure()
    for _ in range(20):
        time.sleep(0.5)
        now = figure()
        if now - before < tolerance:
            return now
        before = now
    return now


def mib(size):
    return f"{size / (1 << 20):.1f} MiB"
