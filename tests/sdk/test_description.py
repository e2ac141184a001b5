"""The control API against its own description: schemathesis asks for whatever the description allows."""

import subprocess
import sys
from pathlib import Path


def test_the_api_does_as_it_describes(start_studio, tmp_path):
    studio = start_studio(f"sqlite://{tmp_path}/mediagate.db")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "run",
            f"http://127.0.0.1:{studio.gateway.admin_port}/api/openapi.json",
            "--header", f"Authorization: Token {studio.token}",
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--max-examples", "20", "--seed", "1", "--workers", "1", "--request-timeout", "30",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=170,
    )
    # The failures come first, then warnings and the summary.
    assert done.returncode == 0, done.stdout[done.stdout.find("FAILURES"):][:6000] + done.stderr[-2000:]
