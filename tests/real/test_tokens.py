"""Tokens that an application signed with PyJWT: where they may stand, and what a wrong one is answered with."""

import hashlib
import hmac
import json
import time

import jwt
import pytest

from processes import wait_until

TARGET = "/media/streamed/noise.bin"
GRANT = {"objects": ["s3://streamed/noise.bin"]}


@pytest.fixture(autouse=True)
def object_is_there(noise):
    return noise


@pytest.mark.parametrize("name", ["hs256", "rs256", "es256"])
@pytest.mark.parametrize("place", ["header", "query", "cookie"])
def test_a_token_of_every_key_is_taken_in_every_place(gateway, keys, name, place):
    token = getattr(keys, name).sign(**GRANT)
    target, headers = {
        "header": (TARGET, {"Authorization": f"Bearer {token}"}),
        "query": (f"{TARGET}?token={token}", {}),
        "cookie": (TARGET, {"Cookie": f"other=1; mediagate_token={token}"}),
    }[place]
    assert gateway.ask(target, headers={**headers, "Range": "bytes=0-9"}).status == 206


@pytest.mark.parametrize("claims", [
    {"objects": ["s3://streamed/*"]},
    {"objects": ["s3://other/x", "s3://streamed/noise.bin"]},
    {**GRANT, "ip": ["127.0.0.0/8"]},
    {**GRANT, "task": 7, "project": "p"},
    {**GRANT, "aud": ["x", "mediagate"]},
    {**GRANT, "unknown": {"claims": "are ignored"}},
    {**GRANT, "nbf": 1},
    {**GRANT, "sub": None, "iat": None},
], ids=str)
def test_these_claims_open_the_object(gateway, keys, claims):
    assert gateway.ask(TARGET, method="HEAD", headers=keys.hs256.bearer(**claims)).status == 200


def refused():
    """Rows of (what, claims, status, code)."""
    now = int(time.time())
    return [
        ("expired", {**GRANT, "exp": now - 600}, 401),
        ("not yet valid", {**GRANT, "nbf": now + 600}, 401),
        ("issued in the future", {**GRANT, "iat": now + 600}, 401),
        ("no exp", {**GRANT, "exp": None}, 401),
        ("exp as text", {**GRANT, "exp": str(now + 600)}, 401),
        ("exp with a fraction", {**GRANT, "exp": now + 600.5}, 401),
        ("no audience", {**GRANT, "aud": None}, 401),
        ("another audience", {**GRANT, "aud": "other"}, 401),
        ("no objects", {}, 403),
        ("another object", {"objects": ["s3://streamed/other.bin"]}, 403),
        ("another bucket", {"objects": ["s3://redirected/*"]}, 403),
        ("a prefix that is not one", {"objects": ["s3://streamed/noise/*"]}, 403),
        ("another network", {**GRANT, "ip": ["10.0.0.0/8"]}, 403),
        ("objects of a wrong type", {"objects": "s3://streamed/noise.bin"}, 401),
    ]


@pytest.mark.parametrize("what, claims, status", refused(), ids=lambda value: value if isinstance(value, str) else "")
def test_these_claims_are_refused(gateway, keys, what, claims, status):
    check_refusal(gateway.ask(TARGET, headers=keys.hs256.bearer(**claims)), status)


def test_an_object_that_is_not_granted_is_the_same_whether_or_not_it_exists(gateway, keys):
    headers = keys.hs256.bearer(objects=["s3://streamed/other.bin"])
    answers = [gateway.ask(target, headers=headers) for target in (TARGET, "/media/streamed/not-there.bin")]
    told = [{k: v for k, v in json.loads(answer.body).items() if "request" not in k and k != "instance"} for answer in answers]
    assert [answer.status for answer in answers] == [403, 403] and told[0] == told[1]


@pytest.mark.parametrize("forge", ["none", "public key as secret", "another key's name", "another secret", "unknown kid", "cut", "no kid"])
def test_a_forged_token_is_401(gateway, keys, forge):
    claims = {"aud": "mediagate", "exp": int(time.time()) + 600, **GRANT}
    pem = open(keys.rs256.config["public_key_file"], "rb").read()
    token = {
        "none": lambda: jwt.encode(claims, None, "none", headers={"kid": "shared"}),
        "public key as secret": lambda: hs256_over_pem(claims, pem, keys.rs256.id),
        "another key's name": lambda: keys.hs256.sign(kid="es256", **GRANT),
        "another secret": lambda: jwt.encode(claims, "x" * 40, "HS256", headers={"kid": "shared"}),
        "unknown kid": lambda: keys.hs256.sign(kid="k9", **GRANT),
        "cut": lambda: keys.hs256.sign(**GRANT)[:-4],
        "no kid": lambda: jwt.encode(claims, keys.hs256.private, "HS256"),
    }[forge]()
    check_refusal(gateway.ask(TARGET, headers={"Authorization": f"Bearer {token}"}), 401)


def test_no_token_is_401(gateway):
    check_refusal(gateway.ask(TARGET), 401)


def test_a_bad_token_is_no_reason_to_look_for_another(gateway, keys):
    good = keys.hs256.sign(**GRANT)
    check_refusal(gateway.ask(f"{TARGET}?token={good}", headers={"Authorization": "Bearer " + good[:-4]}), 401)
    check_refusal(gateway.ask(f"{TARGET}?token={good}&token={good}"), 401)


def test_a_bucket_without_a_storage_is_404(gateway, anything):
    answer = gateway.ask("/media/absent/x.png", headers=anything)
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "storage_not_found")


def test_tokens_and_signed_urls_are_in_no_log_and_no_metric(gateway, keys, image):
    token = keys.hs256.sign(objects=["s3://redirected/*", "s3://streamed/*"], jti="jti-that-must-not-show")
    asked = [
        gateway.ask(f"/media/redirected/pictures/test%20card.png?token={token}"),
        gateway.ask(f"/media/streamed/pictures/test%20card.png?token={token}"),
        gateway.ask(f"/media/streamed/pictures/test%20card.png?token={token[:-3]}"),
    ]
    location = asked[0]["Location"]
    wait_until("their lines are written", lambda: all(gateway.log().count(answer["X-Request-Id"]) == 2 for answer in asked))
    seen = gateway.log() + gateway.admin("/metrics").body.decode()
    signature = location.partition("X-Amz-Signature=")[2]
    for secret in (token, token.split(".")[1], token.split(".")[2], signature[:32], "jti-that-must-not-show", keys.hs256.private):
        assert secret not in seen


def check_refusal(answer, status):
    told = json.loads(answer.body)
    assert (answer.status, answer["Content-Type"]) == (status, "application/problem+json"), told
    assert isinstance(told["code"], str) and len(answer.body) < 1000
    if status == 401:
        assert answer["WWW-Authenticate"].startswith("Bearer")


def hs256_over_pem(claims, pem, kid):
    """What PyJWT refuses to make: a MAC whose secret is the text of a public key."""
    encode = jwt.utils.base64url_encode
    signed = encode(json.dumps({"alg": "HS256", "kid": kid}).encode()) + b"." + encode(json.dumps(claims).encode())
    return (signed + b"." + encode(hmac.digest(pem, signed, hashlib.sha256))).decode()
