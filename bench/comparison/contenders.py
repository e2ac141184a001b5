"""The sides of the comparison, set up as alike as each of them can be.

A setting is how all of them are started for some cases: over plain text, with TLS on both sides, or `forgetful`, in which
the gateway remembers no token.
"""

import base64
import hashlib
import hmac
import json
import random
import subprocess
import time
from pathlib import Path

from comparison import install
from comparison.cases import Case
from comparison.origin import Origin
from configuration import toml
from processes import Program, free_port, listens, wait_until

PLAIN, TLS, FORGETFUL = "plain", "tls", "forgetful"
NAMES = ["nginx", "nginx+checks", "haproxy", "envoy", "mediagate"]
SECRET = "0123456789abcdef0123456789abcdef"
REDIRECT = "https://s3.eu-west-1.amazonaws.com/media/redirect/image.jpg?" + "&".join(f"X-Amz-Part-{i}={'0' * 60}" for i in range(7))
# As long as the longest run; nothing of these keys opens anything but this machine for the time of the run.
_TOKEN_LIFE = 6 * 3600


def networks(count: int = 10_000) -> list[str]:
    """Client networks, the same in every run; the last lets this machine in."""
    rng = random.Random(7)
    found = {f"{rng.randrange(1, 120)}.{rng.randrange(256)}.{rng.randrange(256)}.0/24" for _ in range(2 * count)}
    return [*sorted(found)[: count - 1], "127.0.0.0/8"]


def start(names: list[str], folder: Path, origin: Origin, setting: str) -> dict:
    tokens = Tokens(folder)
    makers = {"nginx": Nginx, "nginx+checks": CheckingNginx, "haproxy": Haproxy, "envoy": Envoy, "mediagate": Mediagate}
    started: dict[str, Side] = {}
    try:
        for name in names:
            own = folder / f"{name}-{setting}"
            own.mkdir()
            own.chmod(0o777)
            side = makers[name](own, origin, setting, tokens)
            if side.exists:
                side.begin()
                started[name] = side
    except BaseException:
        for side in started.values():
            side.stop()
        raise
    return started


class Tokens:
    """One token of each algorithm, signed by openssl, and the keys."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.private = {name: folder / f"{name}.pem" for name in ("ES256", "RS256")}
        for name, arguments in (("ES256", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("RS256", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])):
            if not self.private[name].exists():
                subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", *arguments, "-out", str(self.private[name])], check=True, capture_output=True)

    def keys(self) -> list[dict]:
        """`access.keys` of the gateway."""
        return [{"id": "HS256", "algorithm": "HS256", "secret": SECRET}] + [
            {"id": name, "algorithm": name, "private_key_file": str(path)} for name, path in self.private.items()]

    def hs256(self) -> str:
        now = int(time.time())
        claims = {"aud": "mediagate", "iss": "annotation", "sub": "annotator-17", "iat": now, "exp": now + _TOKEN_LIFE, "objects": ["s3://media/*"]}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "HS256", "typ": "JWT"}, claims))
        return f"{signed}.{_base64(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Side:
    """A proxy at work."""

    name: str
    settings = (PLAIN, TLS)
    redirects = True

    def __init__(self, folder: Path, origin: Origin, setting: str, tokens: Tokens):
        self.folder, self.origin, self.setting, self.tokens = folder, origin, setting, tokens
        self.tls = setting == TLS
        self.port = free_port()
        self.exists = setting in self.settings
        self.certificate, self.key = origin.folder / "tls.crt", origin.folder / "tls.key"

    def command(self) -> list[str]:
        """Writes the configuration and says what starts the program."""
        raise NotImplementedError

    def begin(self) -> None:
        self.program = Program(self.name.replace("+", "-"), self.command(), self.folder)
        wait_until(f"{self.name} listens", lambda: listens(self.port), program=self.program)
        self.pid = self.program.process.pid

    def takes(self, case: Case) -> bool:
        return (not case.only or self.name in case.only) and (self.redirects or not case.is_redirect)

    def url(self, tls: bool) -> str:
        return f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def token(self, algorithm: str) -> str:
        return self.tokens.hs256()

    def query(self, target: str) -> str:
        """What this side wants behind the path."""
        return ""

    def tail(self) -> str:
        return self.program.tail()

    def stop(self) -> None:
        self.program.stop()


class Nginx(Side):
    """`proxy_pass` over kept connections, and a constant 303."""

    name = "nginx"
    settings = (PLAIN, TLS, FORGETFUL)
    http, server, location = "access_log off;", "", ""

    def command(self) -> list[str]:
        scheme, port = ("https", self.origin.tls_port) if self.tls else ("http", self.origin.port)
        config = self.folder / "nginx.conf"
        config.write_text(f"""\
daemon off;
worker_processes 2;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log;
events {{ worker_connections 16384; }}
http {{
    {self.http}
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream origin {{ server 127.0.0.1:{port}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{self.port} {"ssl http2" if self.tls else ""} backlog=4096;
        {f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};" if self.tls else ""}
        {self.server}
        location /media/media/redirect/ {{ {self.location} return 303 "{REDIRECT}"; }}
        location /media/media/ {{
            {self.location}
            proxy_pass {scheme}://origin/media/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_temp_path {self.folder}/temp;
        }}
    }}
}}
""")
        return ["nginx", "-c", str(config)]


class CheckingNginx(Nginx):
    """The same with networks, a signed link and an access log."""

    name = "nginx+checks"
    settings = (PLAIN, TLS)

    def command(self) -> list[str]:
        rows = "".join(f"{network} 0;\n" for network in networks())
        (self.folder / "networks").write_text(rows)
        self.http = f"access_log {self.folder}/access.log;\ngeo $refused {{ default 1; include {self.folder}/networks; }}"
        self.server = 'if ($refused) { return 403; }\nsecure_link $arg_md5,$arg_expires;\n' \
            f'secure_link_md5 "$secure_link_expires$uri {SECRET}";'
        self.location = 'if ($secure_link != 1) { return 403; }'
        return super().command()

    def query(self, target: str) -> str:
        expires = int(time.time()) + _TOKEN_LIFE
        digest = hashlib.md5(f"{expires}{target} {SECRET}".encode()).digest()
        return f"?md5={_base64(digest)}&expires={expires}"


class Haproxy(Side):
    """Networks, an HS256 token, a log."""

    name = "haproxy"

    def command(self) -> list[str]:
        (self.folder / "networks").write_text("\n".join(networks()) + "\n")
        pem = self.folder / "tls.pem"
        pem.write_text(self.certificate.read_text() + self.key.read_text())
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""\
global
    log stdout format raw local0
    nbthread 2
    maxconn 8192
    ssl-server-verify none
defaults
    mode http
    log global
    option httplog
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 60s
frontend media
    bind 127.0.0.1:{self.port} backlog 4096 {f"ssl crt {pem} alpn h2,http/1.1" if self.tls else ""}
    acl known src -f {self.folder}/networks
    http-request deny unless known
    http-request set-var(txn.bearer) http_auth_bearer
    http-request deny unless {{ var(txn.bearer),jwt_header_query('$.alg') -m str HS256 }}
    http-request deny unless {{ var(txn.bearer),jwt_verify("HS256","{SECRET}") 1 }}
    http-request redirect location "{REDIRECT}" code 303 if {{ path_beg /media/media/redirect/ }}
    http-request replace-path /media/(.*) /\\1
    default_backend origin
backend origin
    server origin 127.0.0.1:{self.origin.tls_port if self.tls else self.origin.port} {"ssl verify none" if self.tls else ""} pool-max-conn 512
""")
        return ["haproxy", "-f", str(config)]


class Envoy(Side):
    """jwt_authn, rbac and aws_request_signing."""

    name = "envoy"
    redirects = False

    def command(self) -> list[str]:
        config = self.folder / "envoy.json"
        config.write_text(json.dumps(self._config()))
        # Envoy says on standard error what it does, and finds keys only in the environment.
        keys = ["AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]
        return ["env", *keys, str(install.envoy()), "-c", str(config), "--concurrency", "2", "--log-level", "warning", "--base-id", str(self.port)]

    def _config(self) -> dict:
        def typed(name: str, **fields) -> dict:
            return {"@type": f"type.googleapis.com/envoy.{name}", **fields}
        filters = [
            ("envoy.filters.http.rbac", typed("extensions.filters.http.rbac.v3.RBAC", rules={"policies": {"clients": {
                "permissions": [{"any": True}],
                "principals": [{"direct_remote_ip": {"address_prefix": "127.0.0.0", "prefix_len": 8}}]}}})),
            ("envoy.filters.http.jwt_authn", typed("extensions.filters.http.jwt_authn.v3.JwtAuthentication", **{
                "providers": {"annotation": {"issuer": "annotation", "audiences": ["mediagate"], "local_jwks": {"inline_string": json.dumps(
                    {"keys": [{"kty": "oct", "alg": "HS256", "kid": "HS256", "k": _base64(SECRET.encode())}]})}}},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "annotation"}}]})),
            ("envoy.filters.http.aws_request_signing", typed("extensions.filters.http.aws_request_signing.v3.AwsRequestSigning",
                service_name="s3", region="us-east-1", use_unsigned_payload=True, host_rewrite="127.0.0.1")),
            ("envoy.filters.http.router", typed("extensions.filters.http.router.v3.Router")),
        ]
        manager = typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", **{
            "stat_prefix": "media",
            "access_log": [{"name": "file", "typed_config": typed("extensions.access_loggers.file.v3.FileAccessLog", path=str(self.folder / "access.log"))}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/media/media/"}, "route": {"cluster": "origin", "prefix_rewrite": "/media/", "timeout": "0s"}}]}]},
            "http_filters": [{"name": name, "typed_config": config} for name, config in filters]})
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        cluster = {
            "name": "origin", "type": "STATIC",
            "circuit_breakers": {"thresholds": [{"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}]},
            "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": "127.0.0.1", "port_value": self.origin.tls_port if self.tls else self.origin.port}}}}]}]}}
        if self.tls:
            certificate = {"certificate_chain": {"filename": str(self.certificate)}, "private_key": {"filename": str(self.key)}}
            chain["transport_socket"] = {"name": "tls", "typed_config": typed(
                "extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context={"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]})}
            cluster["transport_socket"] = {"name": "tls", "typed_config": typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext")}
        return {"static_resources": {"clusters": [cluster], "listeners": [
            {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}}, "filter_chains": [chain]}]}}


class Mediagate(Side):
    """The gateway, with its defaults but for what the case is about."""

    name = "mediagate"
    settings = (PLAIN, TLS, FORGETFUL)

    def command(self) -> list[str]:
        storage = {
            "bucket": "media", "endpoint": self.origin.url(self.tls), "addressing": "path",
            "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
        config = {
            "server": {"listen": f"127.0.0.1:{self.port}", "max_connections_per_client": 0},
            "admin": {"listen": f"127.0.0.1:{free_port()}", "token": "admin-bearer-of-the-bench"},
            "access": {"allow": networks(), "keys": self.tokens.keys(), "token_cache_entries": 0 if self.setting == FORGETFUL else 100_000},
            "store": {"url": "sqlite::memory:", "key": "00" * 32},
            "limits": {"streams_per_client": 0},
            "sidecar": {"runs": 0, "exports": 0},
            "storages": [
                {"name": "redirected", "prefix": "redirect/", "delivery": "redirect", **storage},
                {"name": "streamed", "delivery": "stream", **storage},
            ],
        }
        if self.tls:
            config["server"]["tls"] = {"certificate_file": str(self.certificate), "key_file": str(self.key)}
            config["egress"] = {"ca_file": str(self.certificate)}
        self.file = self.folder / "mediagate.toml"
        self.file.write_text(toml(config))
        return [str(install.GATEWAY), "serve", "--config", str(self.file)]

    def token(self, algorithm: str) -> str:
        if algorithm == "HS256":
            return super().token(algorithm)
        command = [str(install.GATEWAY), "token", "mint", "--config", str(self.file), "--key", algorithm, "--object", "s3://media/*", "--ttl", "6h"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
