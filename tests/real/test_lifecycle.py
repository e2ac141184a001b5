"""Stopping, reloading and asking after the gateway while it works."""

import http.client
import json
import re
import signal
import subprocess

import pytest

from configuration import toml
from gateway import BINARY, storage
from processes import listens, wait_until

SIZE = 8 << 20


@pytest.fixture(scope="module")
def body(garage):
    body = bytes(range(256)) * (SIZE // 256)
    for bucket in ("streamed", "redirected"):
        garage.s3.put_object(Bucket=bucket, Key="medium.bin", Body=body)
    return body


@pytest.fixture
def lone(gateways, garage, keys, body):
    return gateways({"access": {"keys": [keys.hs256.config]}, "storages": [storage(garage, "streamed", "stream")]})


@pytest.fixture
def bearer(keys):
    return keys.hs256.bearer(objects=["s3://streamed/*", "s3://redirected/*"])


def test_sigterm_lets_a_body_finish_and_takes_no_new_client(lone, bearer, body):
    # The window is small and nothing is read, so most of the body still lies at S3 when the signal comes.
    connection = http.client.HTTPConnection("127.0.0.1", lone.port, timeout=30)
    connection.request("GET", "/media/streamed/medium.bin", headers=bearer)
    response = connection.getresponse()
    first = response.read(1000)
    lone.program.signal(signal.SIGTERM)
    wait_until("no new client is taken", lambda: not listens(lone.port))
    wait_until("readiness fails", lambda: not lone.ready())
    assert lone.program.process.poll() is None, "the gateway left while a body was on its way"
    assert first + response.read() == body
    connection.close()
    assert lone.program.wait(10) == 0


def test_sigterm_with_idle_connections_ends_at_once(lone):
    connection = http.client.HTTPConnection("127.0.0.1", lone.port, timeout=30)
    connection.request("GET", "/")
    connection.getresponse().read()
    lone.program.signal(signal.SIGTERM)
    assert lone.program.wait(5) == 0
    connection.close()


@pytest.mark.parametrize("what", ["an unknown key", "no TOML", "a key without a secret", "two storages of one name"])
def test_a_bad_configuration_is_refused_and_the_old_one_stays(lone, bearer, what):
    good = lone.config
    lone.file.with_suffix(".new").write_text({
        "an unknown key": toml(good) + "\n[serverr]\nlisten = 1\n",
        "no TOML": "[[[",
        "a key without a secret": toml({**good, "access": {"keys": [{"id": "k", "algorithm": "HS256"}]}}),
        "two storages of one name": toml({**good, "storages": good["storages"] * 2}),
    }[what])
    lone.file.with_suffix(".new").rename(lone.file)
    lone.program.signal(signal.SIGHUP)
    wait_until("the refusal is counted", lambda: reloads(lone, "refused") >= 1)
    assert lone.ask("/media/streamed/medium.bin", method="HEAD", headers=bearer).status == 200
    assert lone.ready()


def test_a_good_configuration_comes_into_force_by_signal(lone, bearer, garage):
    assert lone.ask("/media/streamed/medium.bin", method="HEAD", headers=bearer).status == 200
    lone.write({**lone.config, "storages": [storage(garage, "streamed", "redirect")]})
    lone.program.signal(signal.SIGHUP)
    wait_until("the storage redirects", lambda: lone.ask("/media/streamed/medium.bin", headers=bearer).status == 303)


def test_a_good_configuration_comes_into_force_by_itself(lone, bearer, garage):
    assert lone.ask("/media/redirected/medium.bin", headers=bearer).status == 404
    lone.write({**lone.config, "storages": [*lone.config["storages"], storage(garage, "redirected", "redirect")]})
    wait_until("the new storage is served", lambda: lone.ask("/media/redirected/medium.bin", headers=bearer).status == 303)


def test_a_body_outlives_a_reload(lone, bearer, body, garage):
    connection = http.client.HTTPConnection("127.0.0.1", lone.port, timeout=30)
    connection.request("GET", "/media/streamed/medium.bin", headers=bearer)
    response = connection.getresponse()
    first = response.read(1000)
    lone.write({**lone.config, "storages": [storage(garage, "redirected", "redirect")]})
    lone.program.signal(signal.SIGHUP)
    wait_until("the storage is gone", lambda: lone.ask("/media/streamed/medium.bin", headers=bearer).status == 404)
    assert first + response.read() == body
    connection.close()


def test_liveness_readiness_and_healthcheck_agree(lone):
    assert lone.admin("/livez").status == lone.admin("/readyz").status == 200
    assert command("healthcheck", lone).returncode == 0
    lone.stop()
    assert command("healthcheck", lone).returncode != 0


def test_check_reaches_every_storage_and_says_which_it_cannot(lone, garage):
    assert command("check", lone).returncode == 0
    lone.write({**lone.config, "storages": [storage(garage, "streamed", "stream", secret_access_key="wrong" * 8)]})
    done = command("check", lone)
    assert done.returncode != 0 and "streamed" in done.stdout + done.stderr


def test_a_trusted_proxys_request_id_is_kept_in_the_answer_and_in_the_lines(gateways, garage, keys, bearer, body):
    gateway = gateways({
        "access": {"keys": [keys.hs256.config], "trusted_proxies": ["127.0.0.0/8"]},
        "storages": [storage(garage, "streamed", "stream")],
    })
    answer = gateway.ask("/media/streamed/medium.bin", headers={**bearer, "X-Request-Id": "an-id-of-the-proxy"})
    assert answer["X-Request-Id"] == "an-id-of-the-proxy"
    lines = wait_until("both lines are written", lambda: lines_of(gateway, "an-id-of-the-proxy", 2))
    access, audit = sorted(lines, key=lambda line: line["target"])
    assert (access["status"], access["bytes"], access["outcome"]) == (200, SIZE, "complete")
    assert (audit["sub"], audit["kid"]) == ("annotator-7", keys.hs256.id)


def test_a_strangers_request_id_is_replaced(lone, bearer):
    answer = lone.ask("/media/streamed/medium.bin", method="HEAD", headers={**bearer, "X-Request-Id": "an-id-of-a-stranger"})
    assert answer["X-Request-Id"] not in (None, "", "an-id-of-a-stranger")
    wait_until("both lines are written", lambda: lines_of(lone, answer["X-Request-Id"], 2))


def test_metrics_are_in_the_format_of_prometheus(lone, bearer):
    lone.ask("/media/streamed/medium.bin", method="HEAD", headers=bearer)
    lines = lone.admin("/metrics").body.decode().splitlines()
    sample = re.compile(r'^[a-z0-9_]+(\{([a-z_0-9]+="[^"]*",?)*\})? [0-9.e+-]+(Inf)?$')
    assert [line for line in lines if not line.startswith("# ") and not sample.match(line)] == []
    assert lone.metric("mediagate_requests_total", route="media", storage="streamed") == 1


def lines_of(gateway, request_id, count):
    """The JSON lines about a request, once there are as many; each of them once."""
    lines = [json.loads(line) for line in gateway.log().splitlines() if request_id in line]
    assert len(lines) <= count
    return lines if len(lines) == count else None


def reloads(gateway, result):
    return gateway.metric("mediagate_config_reloads_total", result=result)


def command(name, gateway):
    """Runs another command of the program with the gateway's configuration."""
    return subprocess.run([BINARY, name, "--config", str(gateway.file)], capture_output=True, text=True, timeout=30)
