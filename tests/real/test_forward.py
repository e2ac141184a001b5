"""What is not media belongs to the application behind the gateway, and reaches it whole."""

import hashlib
import http.client
import json

import pytest
import websocket

from processes import free_port


def headers_of(seen):
    """The headers that reached the application, by lower-case name, joined as lists are."""
    merged = {}
    for name, value in seen["headers"]:
        merged.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(values) for name, values in merged.items()}


@pytest.fixture
def echo(gateway):
    """Sends a request that the application answers with what it saw."""

    def echo(target="/anything", **more):
        answer = gateway.ask(target, **more)
        assert (answer.status, answer["X-Application"]) == (200, "upstream"), answer.body
        return json.loads(answer.body)

    return echo


@pytest.mark.parametrize("target", [
    "/", "/?", "/a//b", "/a%2Fb?c=%20d&e=+f", "/media", "/mediatheque/x", "/%E6%97%A5?q=%F0%9F%98%80", "/a;b=c/d?x[]=1&x[]=2", "/tasks/7/", "/a%zz",
])
def test_the_target_arrives_as_it_was_sent(echo, target):
    assert echo(target)["target"] == target


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_and_body_arrives(echo, method):
    seen = echo("/api/x", method=method, body=b'{"a": 1}' if method != "GET" else None)
    assert (seen["method"], seen["body"]) == (method, '{"a": 1}' if method != "GET" else "")


def test_headers_of_one_hop_stop_at_the_gateway(echo):
    seen = headers_of(echo(headers={
        "Connection": "keep-alive, X-Only-Here", "X-Only-Here": "1", "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Authorization": "Basic eA==",
        "Proxy-Connection": "keep-alive", "X-End-To-End": "1",
    }))
    assert seen["x-end-to-end"] == "1"
    assert {"x-only-here", "keep-alive", "proxy-authorization", "proxy-connection"}.isdisjoint(seen)
    assert "x-only-here" not in seen.get("connection", "").lower()


def test_headers_of_one_hop_stop_on_the_way_back_too(gateway):
    answer = gateway.ask("/app/hop")
    assert (answer.status, answer.body, answer["X-End-To-End"]) == (200, b"hop", "1")
    assert [name for name in ("X-Only-Here", "Keep-Alive", "Proxy-Authenticate") if answer[name]] == []
    assert sorted(cookie.split(";")[0] for cookie in answer.headers.get_all("Set-Cookie")) == ["session=abc", "theme=dark"]


def test_the_application_learns_who_asked_and_what_for(gateway, echo):
    seen = headers_of(echo(headers={"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}))
    assert seen["x-forwarded-for"] == "127.0.0.1", "a client that is no trusted proxy cannot speak for another"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == f"127.0.0.1:{gateway.port}"


def test_our_token_and_cookie_do_not_reach_the_application(echo, keys):
    token = keys.hs256.sign(objects=["s3://streamed/*"])
    seen = echo(f"/page?a=1&token={token}&b=2", headers={
        "Authorization": f"Bearer {token}", "Cookie": f"session=abc; mediagate_token={token}; theme=dark"})
    assert token not in json.dumps(seen)
    assert headers_of(seen)["cookie"] == "session=abc; theme=dark"
    assert seen["target"] == "/page?a=1&b=2"


@pytest.mark.parametrize("value", ["Token 0123456789abcdef", "Basic dXNlcjpwYXNz", "Bearer not-a-token-of-ours"])
def test_the_application_keeps_its_own_authorization(echo, value):
    seen = echo("/api/x?token=the-applications-own", headers={"Authorization": value})
    assert headers_of(seen)["authorization"] == value
    assert seen["target"] == "/api/x?token=the-applications-own"


@pytest.mark.parametrize("status", [204, 301, 404, 418, 500, 503])
def test_a_status_of_the_application_is_passed_on(gateway, status):
    answer = gateway.ask(f"/app/status/{status}")
    assert (answer.status, answer["X-Application"]) == (status, "upstream")


def test_a_websocket_goes_both_ways_and_closes_with_its_code(gateway, keys):
    token = keys.hs256.sign(objects=["s3://streamed/*"])
    socket = websocket.create_connection(
        gateway.url("/app/ws").replace("http", "ws"), timeout=20, subprotocols=["chat"], cookie=f"session=abc; mediagate_token={token}")
    seen = headers_of(json.loads(socket.recv()))
    assert socket.subprotocol == "chat"
    assert seen["cookie"] == "session=abc" and seen["x-forwarded-for"] == "127.0.0.1"
    for text in ("hello", "é" * 1000, "x" * 300_000):
        socket.send(text)
        assert socket.recv() == text
    socket.send_binary(bytes(range(256)) * 4096)
    assert socket.recv() == bytes(range(256)) * 4096
    socket.send("bye")
    _, frame = socket.recv_data_frame(control_frame=True)
    assert (frame.opcode, int.from_bytes(frame.data[:2]), frame.data[2:]) == (websocket.ABNF.OPCODE_CLOSE, 4000, b"as asked")
    socket.shutdown()


def test_an_event_arrives_before_the_next_one_is_sent(gateway, upstream):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    upstream.push_event("first")
    connection.request("GET", "/app/events", headers={"Accept": "text/event-stream"})
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.readline() + response.readline() == b"data: first\n\n"
    upstream.push_event("second")
    assert response.readline() + response.readline() == b"data: second\n\n"
    upstream.push_event("end")
    assert response.read() == b""
    connection.close()


def test_an_upload_of_200_mib_streams_through_in_little_memory(gateway):
    piece, pieces = hashlib.sha256(b"piece").digest() * 32768, 200
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)
    before = gateway.program.memory("VmHWM")
    answer = gateway.ask(
        "/app/upload", method="POST", body=(piece for _ in range(pieces)), headers={"Transfer-Encoding": "chunked"}, timeout=100)
    told = json.loads(answer.body)
    assert (answer.status, told["size"], told["sha256"]) == (200, 200 << 20, digest.hexdigest())
    assert gateway.program.memory("VmHWM") - before < 32 << 20


def test_a_download_of_the_application_streams_through_in_little_memory(gateway):
    before = gateway.program.memory("VmHWM")
    answer = gateway.ask(f"/app/download/{100 << 20}", timeout=100)
    assert (answer.status, len(answer.body)) == (200, 100 << 20)
    assert gateway.program.memory("VmHWM") - before < 32 << 20


def test_an_application_that_is_gone_is_a_502(gateways, keys):
    gateway = gateways({"access": {"keys": [keys.hs256.config]}, "upstream": {"url": f"http://127.0.0.1:{free_port()}"}})
    assert gateway.ask("/").status == 502


def test_without_an_application_other_paths_are_404(gateways, keys):
    gateway = gateways({"access": {"keys": [keys.hs256.config]}})
    assert gateway.ask("/").status == 404
