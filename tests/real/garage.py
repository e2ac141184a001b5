"""A real S3 server for the tests: Garage on one node, with one key and as many buckets as asked for."""

import secrets
import subprocess
from pathlib import Path

import boto3
from botocore.config import Config

from processes import Program, free_port, wait_until
from wire import ask

REGION = "garage"


class Garage:
    """A running server; `s3` is a boto3 client with the right to everything in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port, self.admin_port, rpc_port = free_port(), free_port(), free_port()
        self.access_key_id = "GK" + secrets.token_hex(12)
        self.secret_access_key = secrets.token_hex(32)
        (folder / "garage.toml").write_text(f"""
metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc_port}"
rpc_public_addr = "127.0.0.1:{rpc_port}"
rpc_secret = "{secrets.token_hex(32)}"

[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{self.port}"
root_domain = ".s3.localhost"

[admin]
api_bind_addr = "127.0.0.1:{self.admin_port}"
admin_token = "{secrets.token_hex(16)}"
""")
        # A single node assigns and applies its own layout, and makes this key and bucket at its first start.
        self.program = Program("garage", ["garage", "-c", "garage.toml", "server", "--single-node", "--default-bucket"], folder, {
            "GARAGE_DEFAULT_ACCESS_KEY": self.access_key_id,
            "GARAGE_DEFAULT_SECRET_KEY": self.secret_access_key,
            "GARAGE_DEFAULT_BUCKET": "first",
            "RUST_LOG": "garage=warn",
        })
        wait_until("garage is healthy", self._healthy, program=self.program)
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(max_pool_connections=16, s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    @property
    def endpoint(self) -> str:
        """What the gateway and boto3 connect to; buckets are in the path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def virtual_endpoint(self) -> str:
        """What browsers resolve to this machine without asking anybody; buckets are in the host name."""
        return f"http://s3.localhost:{self.port}"

    def environment(self) -> dict[str, str]:
        """What aws-cli reads its account from."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create_bucket(self, name: str) -> None:
        """Makes a bucket that the key may use, and that pages of any origin may read."""
        self._garage("bucket", "create", name)
        self._garage("bucket", "allow", "--read", "--write", "--owner", "--key", self.access_key_id, name)
        self.s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [{
            "AllowedOrigins": ["*"],
            "AllowedMethods": ["GET", "HEAD"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["Content-Range", "ETag"],
        }]})

    def create_reader(self, bucket: str) -> tuple[str, str]:
        """Makes a key that may only read the bucket: its id and its secret."""
        name = f"reader-{secrets.token_hex(4)}"
        self._garage("key", "create", name)
        self._garage("bucket", "allow", "--read", "--key", name, bucket)
        said = self._garage("key", "info", "--show-secret", name).stdout.decode()
        fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        return fields["Key ID"].strip(), fields["Secret key"].strip()

    def stop(self) -> None:
        # In order it would wait for the connections that boto3 keeps open; nothing of it is needed any more.
        self.program.process.kill()
        self.program.wait()

    def _garage(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["garage", "-c", "garage.toml", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def _healthy(self) -> bool:
        try:
            return ask(self.admin_port, "/health", timeout=2).status == 200
        except OSError:
            return False
