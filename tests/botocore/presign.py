"""Prints what botocore presigns for odd keys and settings at fixed times, as JSON.

`src/s3/sign/tests.rs` makes the same URLs and compares them byte by byte. To renew the fixture:

    pip install boto3
    python tests/botocore/presign.py > tests/botocore/presigned.json

One setting differs by intention: without an endpoint, botocore's "auto" presigns for the global host, ours
for the region's own, which is botocore's "virtual".
"""

import datetime
import functools
import json
import sys
from unittest import mock

import boto3
from botocore.config import Config

TIMES = [0, 951_782_400, 1_456_790_399, 1_767_323_045, 1_795_492_800, 4_102_444_799]
KEYS = [
    "a", "image.png", "a b", " a", "a ", " ", "  ", "a+b", "+", "a%20b", "%", "%%", "%2F", "%00", "%zz", "a%2e%2e",
    "/a", "//a", "a//b", "a/", "a//", "/", "//", "a/.b", "a/...", ".hidden", "..a", "a..", "a/~b", "~", "~a/_-.",
    "a?b", "?", "?x=1&y=2", "a#b", "#", "a&b=c", "a=b", "a;b", "a:b", "a@b", "a,b", "a!b", "a$b", "a*b", "*",
    "a'b", 'a"b', "a(b)", "a[b]", "a{b}", "a<b>", "a|b", "a\\b", "a^b", "a`b",
    "a\nb", "a\rb", "a\r\nb", "\r\nX-Evil: 1", "a\tb", "\x01", "\x1f", "\x7f", "a\u0085b", "\u00a0",
    "ä", "a\u0308", "ünï/ключ.png", "日本語/写真 1.jpg", "العربية", "😀", "👩‍👩‍👧", "\u200b", "\ufeff", "\u202e", "\U0010ffff",
    "a" * 1024, "ä" * 512, "/" * 1024, "a/b/c/d/e/f/g/h/i/j/k", "s3://bucket/key", "http://example.com/",
    "X-Amz-Signature=0", "video.mp4?X-Amz-Expires=1", "2026-01-02T03:04:05Z.wav", "C:\\Users\\x.doc",
    "AWS4-HMAC-SHA256", "-", "--", "_", "0", "null", "a.tar.gz", "index.html", "drawing.svg",
]
KEY_PAIRS = [
    {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
    {
        "access_key_id": "ASIAIOSFODNN7EXAMPLE",
        "secret_access_key": "s",
        "session_token": "IQoJb3JpZ2luX2VjEJr//////////wEaCXVz+/=" * 12,
    },
    {"access_key_id": "GK31c2f218a2e44f485b94239e", "secret_access_key": "b892c0665f0ada8a4755dae98baa3b13" * 2},
    {"access_key_id": "a+key=with~odd.chars", "secret_access_key": "ключ и пробел"},
]
PLACES = [
    # region, endpoint, addressing, bucket
    ("us-east-1", None, "auto", "media"),
    ("eu-west-1", None, "auto", "media"),
    ("eu-west-1", None, "path", "media"),
    ("eu-central-1", None, "virtual", "my-media-2026"),
    ("us-east-1", None, "auto", "me.dia"),
    ("ap-southeast-2", None, "auto", "Me_dia"),
    ("us-west-2", None, "auto", "alias-abcdefghijklmnop-s3alias"),
    ("cn-north-1", None, "auto", "media"),
    ("us-gov-west-1", None, "auto", "media"),
    ("us-iso-east-1", None, "auto", "media"),
    ("us-isob-east-1", None, "auto", "media"),
    ("eusc-de-east-1", None, "auto", "media"),
    ("us-isof-south-1", None, "auto", "media"),
    ("eu-isoe-west-1", None, "auto", "media"),
    ("us-east-1", "http://127.0.0.1:3900", "auto", "media"),
    ("garage", "http://127.0.0.1:3900", "virtual", "media"),
    ("us-east-1", "http://[::1]:9000", "auto", "media"),
    ("us-east-1", "http://[::1]:9000", "virtual", "media"),
    ("us-east-1", "http://localhost:80", "virtual", "media"),
    ("us-east-1", "http://localhost:80", "virtual", "me.dia"),
    ("us-east-1", "https://localhost:80", "path", "media"),
    ("us-east-1", "https://s3.example.com", "auto", "media"),
    ("us-east-1", "https://s3.example.com", "virtual", "media"),
    ("us-east-1", "https://s3.example.com", "virtual", "me.dia"),
    ("us-east-1", "https://s3.example.com", "virtual", "192.168.5.4"),
    ("us-east-1", "https://s3.example.com:443", "auto", "media"),
    ("us-east-1", "https://EXAMPLE.com:8443", "virtual", "media"),
    ("us-east-1", "https://s3.example.com:8443/base/", "auto", "media"),
    ("us-east-1", "https://s3.example.com:8443/base/", "virtual", "media"),
    ("eu-west-1", "https://s3.eu-west-1.amazonaws.com", "auto", "media"),
    ("eu-west-1", "https://s3.eu-west-1.amazonaws.com", "virtual", "media"),
    ("eu-west-1", "https://bucket.vpce-1a2b-5e6f.s3.eu-west-1.vpce.amazonaws.com", "auto", "media"),
    ("auto", "https://abc123.r2.cloudflarestorage.com", "auto", "media"),
    ("us-east-1", "https://storage.googleapis.com", "path", "media"),
]
OVERRIDES = [
    ("image/png", None),
    ("text/plain; charset=utf-8", None),
    ("audio/x-wav", "inline"),
    (None, 'attachment; filename="a b.png"'),
    ("application/octet-stream", "attachment; filename=\"x\"; filename*=UTF-8''%E6%97%A5%20%E6%9C%AC.jpg"),
    ("", None),
    (None, "inline; filename=\"50% off + more & less?.pdf\""),
]


def cases():
    pair, place = KEY_PAIRS[0], PLACES[0]
    for i, key in enumerate(KEYS):
        yield pair, place, key, "GET", TIMES[i % len(TIMES)], 900, (None, None)
        yield KEY_PAIRS[i % len(KEY_PAIRS)], PLACES[14], key, "HEAD", TIMES[3], 60, (None, None)
    for i, place in enumerate(PLACES):
        for key in ["images/a b.png", "/ünï//+%2F?#"]:
            yield KEY_PAIRS[i % len(KEY_PAIRS)], place, key, "GET", TIMES[i % len(TIMES)], 3600, (None, None)
    for i, overrides in enumerate(OVERRIDES):
        for method in ["GET", "HEAD"]:
            for pair in KEY_PAIRS[:2]:
                yield pair, PLACES[i % 2], "a/ä b.png", method, TIMES[4], 86_400, overrides
    for ttl in [1, 2, 59, 604_800]:
        yield pair, place, "a", "GET", TIMES[2], ttl, (None, None)


@functools.cache
def client(access_key_id, secret_access_key, session_token, region, endpoint, style):
    session = boto3.session.Session(access_key_id, secret_access_key, session_token)
    s3 = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
    config = Config(signature_version="s3v4", s3=s3, ignore_configured_endpoint_urls=True)
    return session.client("s3", region_name=region, endpoint_url=endpoint, config=config)


def presigned(pair, place, key, method, time, ttl, overrides):
    region, endpoint, addressing, bucket = place
    style = "virtual" if endpoint is None and addressing == "auto" else addressing
    keys = pair["access_key_id"], pair["secret_access_key"], pair.get("session_token")
    parameters = {"Bucket": bucket, "Key": key}
    content_type, content_disposition = overrides
    if content_type is not None:
        parameters["ResponseContentType"] = content_type
    if content_disposition is not None:
        parameters["ResponseContentDisposition"] = content_disposition
    operation = {"GET": "get_object", "HEAD": "head_object"}[method]
    frozen = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: frozen):
        s3 = client(*keys, region, endpoint, style)
        return s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=ttl)


def case(pair, place, key, method, time, ttl, overrides):
    region, endpoint, addressing, bucket = place
    row = {
        **pair, "region": region, "endpoint": endpoint, "addressing": addressing, "bucket": bucket, "key": key,
        "method": method, "time": time, "ttl": ttl,
        "content_type": overrides[0], "content_disposition": overrides[1],
        "url": presigned(pair, place, key, method, time, ttl, overrides),
    }
    return {name: value for name, value in row.items() if value is not None}


def main():
    lines = [json.dumps(case(*row)) for row in cases()]
    sys.stdout.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
