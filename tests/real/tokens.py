"""Task-access tokens as an annotation application signs them: with PyJWT, in its own process."""

import time
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "mediagate"


@dataclass
class Key:
    """One signing key, and the table of the configuration that lets the gateway check what it signed."""

    algorithm: str
    private: object
    config: dict[str, str]

    @property
    def id(self) -> str:
        return self.config["id"]

    def sign(self, kid: str | None = None, **claims) -> str:
        """A token for an hour unless the claims say otherwise; a claim of None is left out."""
        now = int(time.time())
        merged = {"aud": AUDIENCE, "iat": now, "exp": now + 3600, "sub": "annotator-7", **claims}
        present = {name: value for name, value in merged.items() if value is not None}
        return jwt.encode(present, self.private, algorithm=self.algorithm, headers={"kid": kid or self.id})

    def bearer(self, **claims) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sign(**claims)}"}


class Keys:
    """A shared secret and two key pairs, whose public halves lie in files beside the configuration."""

    def __init__(self, folder: Path):
        secret = "a-shared-secret-that-is-long-enough-for-hs256"
        self.hs256 = Key("HS256", secret, {"id": "shared", "algorithm": "HS256", "secret": secret})
        self.rs256 = _pair(folder, "RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self.es256 = _pair(folder, "ES256", ec.generate_private_key(ec.SECP256R1()))
        self.all = [self.hs256, self.rs256, self.es256]


def _pair(folder: Path, algorithm: str, private) -> Key:
    file = folder / f"{algorithm}.pem"
    file.write_bytes(private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return Key(algorithm, private, {"id": algorithm.lower(), "algorithm": algorithm, "public_key_file": str(file)})
