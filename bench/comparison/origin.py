"""The origin: nginx with files, over plain text and TLS, and the certificate that all sides use."""

import os
import subprocess
from pathlib import Path

from comparison.cases import ALL
from processes import Program, free_port, listens, wait_until

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/origin.pid;
error_log {folder}/origin.error.log;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    types {{ image/jpeg jpg; video/mp4 mp4; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {folder}/tls.crt;
        ssl_certificate_key {folder}/tls.key;
        root {folder}/files;
    }}
}}
"""


class Origin:
    """Serves `/media/<name>` for every case's object."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        bucket = folder / "files/media"
        bucket.mkdir(parents=True)
        for case in ALL.values():
            if case.status == 200:
                (bucket / case.target).write_bytes(os.urandom(case.size))
        self._certify()
        config = folder / "origin.conf"
        config.write_text(_CONFIG.format(folder=folder, port=self.port, tls_port=self.tls_port))
        self.program = Program("origin", ["nginx", "-c", str(config)], folder)
        wait_until("the origin listens", lambda: listens(self.port), program=self.program)

    def _certify(self) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:false",
             "-keyout", str(self.folder / "tls.key"), "-out", str(self.folder / "tls.crt")],
            check=True, capture_output=True)

    def url(self, tls: bool) -> str:
        return f"https://localhost:{self.tls_port}" if tls else f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.program.stop()
