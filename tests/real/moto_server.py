"""moto: STS, and an S3 behind it."""

import sys
from contextlib import contextmanager
from pathlib import Path

import boto3

from processes import Program, free_port, listens, wait_until


@contextmanager
def running(folder: Path, buckets: dict[str, dict[str, bytes]]):
    """Runs with these buckets and their objects; gives its URL."""
    port = free_port()
    server = Program("moto", [sys.executable, "-m", "moto.server", "-p", str(port)], folder)
    wait_until("moto listens", lambda: listens(port), program=server)
    url = f"http://127.0.0.1:{port}"
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    for bucket, objects in buckets.items():
        s3.create_bucket(Bucket=bucket)
        for key, body in objects.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    yield url
    server.process.kill()
    server.wait()
