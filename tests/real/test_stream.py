"""Ranges, conditionals and HEAD of a streamed object, as RFC 9110 has them, with Garage behind."""

import email
from email.utils import format_datetime, parsedate_to_datetime
from datetime import timedelta

import pytest

SIZE = 2_500_000
TARGET = "/media/streamed/noise.bin"


@pytest.fixture
def get(gateway, anything, noise):
    """Asks for the object with more headers."""
    assert len(noise.body) == SIZE
    return lambda headers=None, method="GET": gateway.ask(TARGET, method=method, headers={**anything, **(headers or {})})


@pytest.fixture
def fields(garage, noise):
    """The object's validators as S3 has them."""
    headers = garage.s3.head_object(Bucket="streamed", Key=noise.key)["ResponseMetadata"]["HTTPHeaders"]
    return {"etag": headers["etag"], "modified": headers["last-modified"]}


def test_a_whole_object_has_the_headers_of_s3(get, noise, fields):
    answer = get()
    assert (answer.status, answer.body == noise.body) == (200, True)
    assert answer["Content-Length"] == str(SIZE)
    assert answer["Content-Type"] == noise.content_type
    assert answer["ETag"] == fields["etag"]
    assert answer["Last-Modified"] == fields["modified"]
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "private" in answer["Cache-Control"]


def test_nothing_of_s3_shows_that_is_not_the_object(get):
    assert [name for name, _ in get().headers.items() if name.lower().startswith("x-amz")] == []


@pytest.mark.parametrize("asked, first, last", [
    ("bytes=0-0", 0, 0),
    ("bytes=0-499", 0, 499),
    ("bytes=1048570-1048590", 1048570, 1048590),
    ("bytes=2000000-", 2000000, SIZE - 1),
    ("bytes=0-", 0, SIZE - 1),
    ("bytes=-1", SIZE - 1, SIZE - 1),
    ("bytes=-70000", SIZE - 70000, SIZE - 1),
    ("bytes=-9999999", 0, SIZE - 1),
    ("bytes=100-99999999", 100, SIZE - 1),
    ("BYTES=5-9", 5, 9),
    ("bytes= 5-9", 5, 9),
])
def test_one_range_is_206_with_these_bytes(get, noise, asked, first, last):
    answer = get({"Range": asked})
    assert (answer.status, answer["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
    assert answer["Content-Length"] == str(last - first + 1)
    assert answer.body == noise.body[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=2500000-", "bytes=2500000-2500001", "bytes=99999999999-", "bytes=-0"])
def test_a_range_past_the_end_is_416_with_the_size(get, asked):
    answer = get({"Range": asked})
    assert (answer.status, answer["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=a-b", "bytes", "bytes=", "items=0-5", "bytes=5", "bytes=--5", "bytes=0-1;2-3"])
def test_a_range_that_is_none_is_ignored(get, noise, asked):
    answer = get({"Range": asked})
    assert (answer.status, answer.body == noise.body) == (200, True)


@pytest.mark.parametrize("asked, expected", [
    ("bytes=0-9,100-109", [(0, 9), (100, 109)]),
    ("bytes=2000000-2000009, 5-9, -3", [(2000000, 2000009), (5, 9), (SIZE - 3, SIZE - 1)]),
    ("bytes=0-9,1048570-1048590,9999999999-", [(0, 9), (1048570, 1048590)]),
])
def test_several_ranges_are_one_multipart_answer(get, noise, asked, expected):
    answer = get({"Range": asked})
    assert answer.status == 206 and answer["Content-Range"] is None
    assert int(answer["Content-Length"]) == len(answer.body)
    assert parts(answer) == [(f"bytes {first}-{last}/{SIZE}", noise.content_type, noise.body[first : last + 1]) for first, last in expected]


def test_ranges_that_touch_are_merged(get, noise):
    answer = get({"Range": "bytes=0-9,10-19,5-12"})
    assert (answer.status, answer["Content-Range"]) == (206, f"bytes 0-19/{SIZE}")
    assert answer.body == noise.body[:20]


def test_more_ranges_than_anybody_needs_are_ignored(get, noise):
    answer = get({"Range": "bytes=" + ",".join(f"{n * 10}-{n * 10 + 1}" for n in range(100))})
    assert (answer.status, answer.body == noise.body) == (200, True)


CONDITIONS = [
    ({"If-None-Match": "{etag}"}, 304),
    ({"If-None-Match": 'W/{etag}'}, 304),
    ({"If-None-Match": '"other", {etag}'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-Modified-Since": "{modified}"}, 304),
    ({"If-Modified-Since": "{later}"}, 304),
    ({"If-Modified-Since": "{earlier}"}, 200),
    ({"If-Modified-Since": "not a date"}, 200),
    ({"If-None-Match": '"other"', "If-Modified-Since": "{later}"}, 200),
    ({"If-Match": "{etag}"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": '"other", {etag}'}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": 'W/{etag}'}, 412),
    ({"If-Unmodified-Since": "{modified}"}, 200),
    ({"If-Unmodified-Since": "{earlier}"}, 412),
    ({"If-Match": "{etag}", "If-Unmodified-Since": "{earlier}"}, 200),
    ({"If-Match": '"other"', "If-None-Match": "{etag}"}, 412),
    ({"Range": "bytes=0-9", "If-None-Match": "{etag}"}, 304),
    ({"Range": "bytes=0-9", "If-Match": '"other"'}, 412),
    ({"Range": "bytes=99999999-", "If-Match": '"other"'}, 412),
    ({"Range": "bytes=0-9", "If-Range": "{etag}"}, 206),
    ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200),
    ({"Range": "bytes=0-9", "If-Range": 'W/{etag}'}, 200),
    ({"Range": "bytes=0-9", "If-Range": "{modified}"}, 206),
    ({"Range": "bytes=0-9", "If-Range": "{later}"}, 200),
    ({"Range": "bytes=99999999-", "If-Range": '"other"'}, 200),
    ({"If-Range": "{etag}"}, 200),
]
# Range is defined for GET alone.
CONDITIONS = [("GET", *row) for row in CONDITIONS] + [("HEAD", *row) for row in CONDITIONS if "Range" not in row[0]]


@pytest.mark.parametrize("method, headers, status", CONDITIONS, ids=lambda value: str(value)[:90])
def test_conditions_are_judged_in_their_order(get, fields, noise, method, headers, status):
    modified = parsedate_to_datetime(fields["modified"])
    later, earlier = (format_datetime(modified + timedelta(days=days), usegmt=True) for days in (1, -1))
    answer = get({name: value.format(**fields, later=later, earlier=earlier) for name, value in headers.items()}, method)
    assert answer.status == status
    if status == 304:
        assert (answer.body, answer["ETag"]) == (b"", fields["etag"])
    if status == 200 and method == "GET":
        assert answer.body == noise.body
    if status == 206:
        assert answer.body == noise.body[:10]


def test_head_has_the_headers_of_get_and_no_body(get):
    got, head = get(), get(method="HEAD")
    assert (head.status, head.body) == (200, b"")
    varying = {"date", "x-request-id"}
    lines = lambda answer: sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in varying)
    assert lines(head) == lines(got)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405_and_say_what_is_allowed(get, method):
    answer = get(method=method)
    assert answer.status == 405
    assert {"GET", "HEAD"} <= {name.strip() for name in answer["Allow"].split(",")}


def test_an_absent_object_is_404(gateway, anything):
    answer = gateway.ask("/media/streamed/not/there.png", headers=anything)
    assert (answer.status, answer["Content-Type"]) == (404, "application/problem+json")
    assert b"object_not_found" in answer.body and b"not/there" not in answer.body


@pytest.mark.parametrize("body", [b"", b"x"], ids=["no byte", "one byte"])
def test_a_small_object_arrives(gateway, garage, anything, body):
    garage.s3.put_object(Bucket="streamed", Key="small", Body=body)
    answer = gateway.ask("/media/streamed/small", headers=anything)
    assert (answer.status, answer.body, answer["Content-Length"]) == (200, body, str(len(body)))


def test_a_range_of_an_empty_object_is_416(gateway, garage, anything):
    garage.s3.put_object(Bucket="streamed", Key="empty", Body=b"")
    answer = gateway.ask("/media/streamed/empty", headers={**anything, "Range": "bytes=0-9"})
    assert (answer.status, answer["Content-Range"]) == (416, "bytes */0")


def test_a_content_encoding_is_kept(gateway, garage, anything):
    garage.s3.put_object(Bucket="streamed", Key="page.txt", Body=b"\x1f\x8bnot unpacked", ContentEncoding="gzip", ContentType="text/plain")
    answer = gateway.ask("/media/streamed/page.txt", headers=anything)
    assert (answer["Content-Encoding"], answer.body) == ("gzip", b"\x1f\x8bnot unpacked")


@pytest.mark.parametrize("key, content_type", [("x.html", "text/html"), ("x.svg", "image/svg+xml"), ("x.xml", "application/xml")])
def test_active_documents_are_sandboxed(gateway, garage, anything, key, content_type):
    garage.s3.put_object(Bucket="streamed", Key=key, Body=b"<x/>", ContentType=content_type)
    answer = gateway.ask(f"/media/streamed/{key}", headers=anything)
    assert answer.status == 200 and "sandbox" in answer["Content-Security-Policy"]


@pytest.mark.parametrize("key, stored, expected", [
    ("a.png", "application/octet-stream", "image/png"),
    ("a.mp3", "binary/octet-stream", "audio/mpeg"),
    ("a.png", "image/x-own", "image/x-own"),
])
def test_an_unspecific_type_is_guessed_from_the_extension(gateway, garage, anything, key, stored, expected):
    garage.s3.put_object(Bucket="streamed", Key=key, Body=b"x", ContentType=stored)
    assert gateway.ask(f"/media/streamed/{key}", headers=anything)["Content-Type"] == expected


def parts(answer):
    """The parts of a multipart/byteranges body, as (Content-Range, Content-Type, bytes)."""
    kind, _, boundary = answer["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges", answer["Content-Type"]
    delimiter = b"--" + boundary.strip('"').encode()
    before, *chunks, end = answer.body.split(delimiter)
    assert (before.strip(), end.strip()) == (b"", b"--")
    return [part(chunk.removeprefix(b"\r\n").removesuffix(b"\r\n")) for chunk in chunks]


def part(chunk):
    head, _, body = chunk.partition(b"\r\n\r\n")
    fields = email.message_from_bytes(head)
    return fields["Content-Range"], fields["Content-Type"], body
