"""An HTTP client that sends a target exactly as given, follows nothing and hides nothing."""

import hashlib
import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def __getitem__(self, name: str) -> str | None:
        return self.headers[name]


def ask(port: int, target: str, method: str = "GET", headers: dict[str, str] | None = None, host: str | None = None,
        body=None, timeout: float = 60) -> Answer:
    """One request on its own connection to the loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        fields = {"Host": host or f"127.0.0.1:{port}", **(headers or {})}
        chunked = fields.get("Transfer-Encoding") == "chunked"
        connection.request(method, target, body=body, headers=fields, encode_chunked=chunked)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def follow(location: str, **more) -> Answer:
    """Asks the URL of a `Location`, sending its path and query untouched. Names under `.localhost` are this machine."""
    target, host, port = raw_target(location)
    return ask(port, target, host=host, **more)


def raw_target(url: str) -> tuple[str, str, int]:
    """The path with query as written, the host with port as written, and the port of a URL."""
    scheme, rest = url.split("://", 1)
    host, slash, target = rest.partition("/")
    assert scheme == "http", url
    return slash + target, host, urlsplit(f"http://{host}").port or 80
