"""What is asked, one case a row."""

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One kind of request, and how many ask at once."""

    name: str
    title: str
    # Bytes of the body of one answer; 0 for a redirect.
    size: int
    connections: int = 64
    # Requests at once on each connection of HTTP/2; 0 for HTTP/1.1.
    streams: int = 0
    # Milliseconds that each of them rests between its requests.
    rest: int = 0
    # How the sides are set up: see `contenders`.
    setting: str = "plain"
    # What is asked for under /media/media/; with `%d` another object each time.
    target: str = ""
    range: str = ""
    status: int = 200
    algorithm: str = "HS256"
    only: tuple[str, ...] = ()

    @property
    def is_redirect(self) -> bool:
        return self.status == 303


_GATEWAY = ("nginx", "mediagate")

_CASES = [
    Case("4-kib", "4 KiB", 4 * KIB, target="4-kib.jpg"),
    Case("64-kib", "64 KiB", 64 * KIB, target="64-kib.jpg"),
    Case("1-mib", "1 MiB", MIB, target="1-mib.jpg"),
    Case("100-mib", "100 MiB, 8 clients", 100 * MIB, connections=8, target="100-mib.mp4"),
    Case("redirect", "a redirect", 0, target="redirect/image.jpg", status=303),
    Case("4-kib-1", "4 KiB, 1 client", 4 * KIB, connections=1, target="4-kib.jpg"),
    Case("4-kib-rest", "4 KiB, 64 clients that rest 5 ms", 4 * KIB, rest=5, target="4-kib.jpg"),
    Case("64-kib-1", "64 KiB, 1 client", 64 * KIB, connections=1, target="64-kib.jpg"),
    Case("64-kib-512", "64 KiB, 512 clients", 64 * KIB, connections=512, target="64-kib.jpg"),
    Case("range", "64 KiB out of 100 MiB", 64 * KIB, target="100-mib.mp4", range="bytes=52428800-52494335", status=206),
    Case("64-kib-tls", "64 KiB, TLS on both sides", 64 * KIB, target="64-kib.jpg", setting="tls"),
    Case("1-mib-tls", "1 MiB, TLS on both sides", MIB, target="1-mib.jpg", setting="tls"),
    Case("redirect-tls", "a redirect, TLS", 0, target="redirect/image.jpg", status=303, setting="tls"),
    Case("4-kib-h2", "4 KiB, HTTP/2", 4 * KIB, connections=8, streams=8, target="4-kib.jpg", setting="tls"),
    Case("64-kib-h2", "64 KiB, HTTP/2", 64 * KIB, connections=8, streams=8, target="64-kib.jpg", setting="tls"),
    Case("1-mib-h2", "1 MiB, HTTP/2", MIB, connections=8, streams=8, target="1-mib.jpg", setting="tls"),
    Case("redirect-h2", "a redirect, HTTP/2", 0, connections=8, streams=8, target="redirect/image.jpg", status=303, setting="tls"),
    Case("redirect-new", "a redirect, each object for the first time", 0, target="redirect/%d.jpg", status=303, only=_GATEWAY),
    Case("redirect-hs256", "a redirect, nothing remembered, HS256", 0, target="redirect/%d.jpg", status=303,
         setting="forgetful", only=_GATEWAY),
    Case("redirect-es256", "the same, ES256", 0, target="redirect/%d.jpg", status=303, setting="forgetful",
         algorithm="ES256", only=_GATEWAY),
    Case("redirect-rs256", "the same, RS256", 0, target="redirect/%d.jpg", status=303, setting="forgetful",
         algorithm="RS256", only=_GATEWAY),
]

ALL = {case.name: case for case in _CASES}
SHORT = ["4-kib", "64-kib", "1-mib", "redirect"]
