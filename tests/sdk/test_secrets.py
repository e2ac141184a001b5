"""No secret of a whole run stands anywhere it could be read from."""

import secrets
import urllib.parse
from base64 import b64encode

import pytest
from label_studio_sdk.core import ApiError

from conftest import SECRET
from test_several_gateways import media


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_secrets_stay_secret(database, start_studio, postgres, garage, good, good_target, tmp_path):
    url = f"sqlite://{tmp_path}/mediagate.db" if database == "sqlite" else postgres.database()
    key, token = secrets.token_hex(32), secrets.token_hex(20)
    studio = start_studio(url, key=key, token=token)
    session = "session-" + secrets.token_hex(16)
    wrong = "wrong-" + secrets.token_hex(16)
    texts = []

    def remember(call, *arguments, **fields):
        try:
            answer = call(*arguments, **fields)
            texts.extend(part.json() for part in (answer if isinstance(answer, list) else [answer]) if part is not None)
            return answer
        except ApiError as error:
            texts.append(f"{error.headers} {error.body}")
            return None

    s3, target = studio.client.import_storage.s3, studio.client.export_storage.s3
    made = remember(s3.create, **{**good, "prefix": None})
    streamed = remember(s3.create, **{**good, "presign": False})
    assert made and streamed
    remember(target.create, **good_target)
    for bad in (
        {"aws_secret_access_key": wrong}, {"aws_session_token": session}, {"s3endpoint": f"https://name:{wrong}@127.0.0.1"},
        {"bucket": "absent-bucket"}, {"regex_filter": "("},
    ):
        remember(s3.validate, **{**good, **bad})
        remember(s3.create, **{**good, **bad})
        remember(s3.update, made.id, **bad)
    remember(s3.list, project="x")
    for path, body in [("/api/storages/s3/files", b"{"), ("/api/storages/s3/", f'{{"aws_secret_access_key":"{wrong}",'.encode()),
                       ("/api/storages/s3/", f'{{"aws_secret_access_key":["{wrong}"]}}'.encode())]:
        texts.append(studio.gateway.admin(path, method="POST", headers=studio.headers(), body=body).body.decode())
    presigned = media(studio, "top.txt")["Location"]
    assert presigned
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(presigned).query)["X-Amz-Signature"][0]
    media(studio, "img/a.jpg")
    texts += [studio.gateway.admin(page).body.decode() for page in ("/metrics", "/readyz")]
    texts.append(studio.gateway.admin("/api/openapi.json", headers=studio.headers()).body.decode())
    studio.gateway.stop()
    texts.append(studio.gateway.log())
    if database == "postgres":
        texts.append(postgres.dump(url))

    hidden = [garage.secret_access_key, garage.access_key_id, session, wrong, key, token, SECRET, signature]
    for secret in hidden:
        for text in texts:
            assert secret not in text, f"{secret[:6]}... in {text[:300]}"
    raw = [secret.encode() for secret in hidden[:5]]
    raw += [b64encode(secret) for secret in raw] + [secret.hex().encode() for secret in raw]
    for file in tmp_path.glob("mediagate.db*"):
        held = file.read_bytes()
        assert not [secret for secret in raw if secret in held], file
