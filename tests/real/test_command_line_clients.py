"""curl, aws and ffprobe as people use them, through the gateway."""

import hashlib
import json
import os
import subprocess

import pytest


def run(*argv, env=None, **more):
    done = subprocess.run(argv, capture_output=True, timeout=60, env=env, **more)
    assert done.returncode == 0, (argv[0], done.returncode, done.stderr.decode(errors="replace")[-2000:])
    return done.stdout


@pytest.fixture
def curl(gateway, keys, tmp_path):
    bearer = "Authorization: Bearer " + keys.hs256.sign(objects=["s3://redirected/*", "s3://streamed/*"])
    return lambda *arguments: run("curl", "-sS", "--fail", "-H", bearer, *arguments, cwd=tmp_path)


@pytest.mark.parametrize("bucket", ["redirected", "streamed"])
def test_curl_downloads_with_a_bearer_token_and_keeps_it_from_s3(gateway, curl, noise, bucket):
    assert curl("-L", gateway.url(f"/media/{bucket}/noise.bin")) == noise.body


@pytest.mark.parametrize("bucket", ["redirected", "streamed"])
def test_curl_resumes_a_download(gateway, curl, noise, tmp_path, bucket):
    file = tmp_path / "noise.bin"
    file.write_bytes(noise.body[:1_000_000])
    curl("-L", "-C", "-", "-o", str(file), gateway.url(f"/media/{bucket}/noise.bin"))
    assert file.read_bytes() == noise.body


def test_curl_fetches_again_only_what_changed(gateway, curl, noise, tmp_path):
    url = gateway.url("/media/streamed/noise.bin")
    code = ("-w", "%{http_code}", "-o", "body", "--etag-save", "etag", "--etag-compare", "etag")
    (tmp_path / "etag").touch()
    assert [curl(*code, url), curl(*code, url)] == [b"200", b"304"]


def test_curl_speaks_http2_with_prior_knowledge(gateway, curl, noise):
    version = ("-w", "%{http_version}", "-o", "body", "--http2-prior-knowledge")
    assert curl(*version, gateway.url("/media/streamed/noise.bin")) == b"2"


def test_what_aws_uploads_comes_out_of_the_gateway(garage, gateway, curl, tmp_path):
    # Over 8 MiB aws uploads in parts, which gives an ETag that is no MD5 of the whole.
    body = hashlib.sha256(b"aws").digest() * (9 << 15)
    (tmp_path / "big.bin").write_bytes(body)
    aws = lambda *arguments: run("aws", "--endpoint-url", garage.endpoint, *arguments, env=environment(garage), cwd=tmp_path)
    aws("s3", "cp", "--only-show-errors", "big.bin", "s3://streamed/from/aws big.bin")
    assert curl(gateway.url("/media/streamed/from/aws%20big.bin")) == body
    tag = json.loads(aws("s3api", "head-object", "--bucket", "streamed", "--key", "from/aws big.bin"))["ETag"]
    assert f"etag: {tag}".lower() in curl("-I", gateway.url("/media/streamed/from/aws%20big.bin")).decode().lower()


@pytest.mark.parametrize("bucket", ["redirected", "streamed"])
def test_ffprobe_reads_a_video_whose_index_is_at_its_end(gateway, keys, video, bucket):
    url = gateway.url(f"/media/{bucket}/clips/test%20clip.mp4?token=" + keys.hs256.sign(objects=[f"s3://{bucket}/*"]))
    told = json.loads(run("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", url))
    assert {stream["codec_name"] for stream in told["streams"]} == {"h264", "aac"}
    assert abs(float(told["format"]["duration"]) - 20) < 0.5


@pytest.mark.parametrize("bucket", ["redirected", "streamed"])
def test_ffmpeg_seeks_and_decodes_to_the_end(gateway, keys, video, bucket):
    url = gateway.url(f"/media/{bucket}/clips/test%20clip.mp4?token=" + keys.hs256.sign(objects=[f"s3://{bucket}/*"]))
    frames = run("ffmpeg", "-v", "error", "-ss", "15", "-i", url, "-map", "0:v", "-f", "framemd5", "-").decode()
    decoded = [line for line in frames.splitlines() if not line.startswith("#")]
    assert 120 <= len(decoded) <= 130, len(decoded)


def environment(garage):
    return {**os.environ, **garage.environment()}
