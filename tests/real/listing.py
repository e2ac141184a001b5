"""A bucket of small objects that are all alike: fast to fill and to list, and it pauses, fails and refuses as it is told."""

import bisect
import hashlib
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape


class Listing:
    """Answers for any bucket with the same keys, and lets anybody in."""

    def __init__(self, keys: list[str], page: int = 1000):
        self.keys = sorted(keys)
        self.page = page
        # The longest that a page is waited for, in seconds.
        self.pause = 0.0
        # Of so many answers, one is a failure; 0: none.
        self.one_fails_of = 0
        self.is_refusing = False
        # Pages are held back while it is not set.
        self.gate = threading.Event()
        self.gate.set()
        self.noise = random.Random(1)
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.listing = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def storage(self, name: str, **more) -> dict:
        """A `[[storages]]` table over it."""
        return {
            "name": name, "bucket": name, "endpoint": self.endpoint, "addressing": "path",
            "access_key_id": "anybody", "secret_access_key": "anything", **more,
        }

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: dict[str, str]) -> str:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        after = asked.get("continuation-token") or asked.get("start-after", "")
        limit = min(int(asked.get("max-keys", "1000")), self.page)
        contents, prefixes, last = [], [], after
        at = bisect.bisect_right(self.keys, after) if after >= prefix else bisect.bisect_left(self.keys, prefix)
        while at < len(self.keys) and len(contents) + len(prefixes) < limit:
            key = self.keys[at]
            if not key.startswith(prefix):
                at = len(self.keys)
                break
            folder, slash, _ = key[len(prefix):].partition(delimiter) if delimiter else ("", "", "")
            if slash:
                common = prefix + folder + slash
                at = bisect.bisect_left(self.keys, common[:-1] + chr(ord(slash) + 1))
                last = self.keys[at - 1]
                if common > after:
                    prefixes.append(common)
            else:
                contents.append(key)
                at, last = at + 1, key
        is_more = at < len(self.keys) and self.keys[at].startswith(prefix)
        coded = asked.get("encoding-type") == "url"
        name = (lambda text: quote(text)) if coded else escape
        return "".join([
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
            f"<Name>listed</Name><Prefix>{name(prefix)}</Prefix><MaxKeys>{limit}</MaxKeys>",
            "<EncodingType>url</EncodingType>" if coded else "",
            f"<KeyCount>{len(contents) + len(prefixes)}</KeyCount><IsTruncated>{str(is_more).lower()}</IsTruncated>",
            f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if is_more else "",
            *(f"<Contents><Key>{name(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
              f"<ETag>&quot;{hashlib.md5(key.encode()).hexdigest()}&quot;</ETag><Size>4</Size>"
              "<StorageClass>STANDARD</StorageClass></Contents>" for key in contents),
            *(f"<CommonPrefixes><Prefix>{name(common)}</Prefix></CommonPrefixes>" for common in prefixes),
            "</ListBucketResult>",
        ])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    listing: Listing

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._say(200, b"")

    def do_GET(self):
        listing = self.server.listing
        asked = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        if listing.is_refusing:
            return self._error(403, "AccessDenied")
        if "list-type" not in asked:
            return self._object()
        listing.gate.wait()
        threading.Event().wait(listing.noise.random() * listing.pause)
        body = listing.answer(asked).encode()
        if listing.one_fails_of and listing.noise.randrange(listing.one_fails_of) == 0:
            return self._fail(body)
        self._say(200, body)

    def _object(self) -> None:
        """The first byte, which is what a test of a storage reads."""
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("ETag", '"etag"')
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        if "Range" in self.headers:
            self.send_header("Content-Range", "bytes 0-0/4")
        body = b"j" if "Range" in self.headers else b"jpeg"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, body: bytes) -> None:
        """One of the ways in which servers fail: a refusal to be tried again, a cut line, half a document."""
        half = body[:len(body) // 2]
        match self.server.listing.noise.randrange(4):
            case 0:
                self._error(500, "InternalError")
            case 1:
                self._error(503, "SlowDown")
            case 2:
                self._say(200, half)
            case _:
                self._say(200, half, length=len(body))
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

    def _error(self, status: int, code: str) -> None:
        self._say(status, f"<Error><Code>{code}</Code><Message>as the test says</Message></Error>".encode())

    def _say(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests are counted, not told."""
