"""How long a side takes from its start to its first answer."""

import socket
import time

from processes import Program

TIMES = 5


def first_answer(side) -> float:
    """Seconds, the median of five starts, until 4 KiB of the origin came through."""
    return sorted(_once(side) for _ in range(TIMES))[TIMES // 2]


def _once(side) -> float:
    side.stop()
    target = "/media/media/4-kib.jpg"
    request = f"GET {target}{side.query(target)} HTTP/1.1\r\nHost: media.example.org\r\nAuthorization: Bearer {side.token('HS256')}\r\n\r\n"
    command = side.command()
    begun = time.monotonic()
    side.program = Program(side.name.replace("+", "-"), command, side.folder)
    side.pid = side.program.process.pid
    while time.monotonic() - begun < 20:
        try:
            with socket.create_connection(("127.0.0.1", side.port), timeout=5) as client:
                client.sendall(request.encode())
                if b" 200 " in client.recv(4096).partition(b"\r\n")[0]:
                    return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.001)
    raise SystemExit(f"{side.name} did not answer after its start\n{side.tail()}")
