"""Label Studio stopped: who has a token still sees media, everything else is told so, and all of it comes back."""

import time

import jwt

import people
from conftest import SECRET, put, resolve
from processes import wait_until
from studio import Person

URI = "s3://media/outage/a.bin"


def test_media_outlives_label_studio(label_studio, media_only, garage):
    put(garage, "media", "outage/a.bin", b"still here")
    admin = Person(media_only.port, people.ADMIN)
    project = admin.project("Outage", '<View><Text name="text" value="$text"/></View>')
    (task,) = admin.import_tasks(project, {"text": "x", "file": URI})
    now = int(time.time())
    token = jwt.encode({"aud": "mediagate", "task": task, "iat": now, "exp": now + 600, "objects": [URI]}, SECRET, "HS256", {"kid": "shared"})
    bearer = {"Authorization": f"Bearer {token}"}

    label_studio.stop()
    try:
        assert media_only.ask(resolve(task, URI), headers=bearer).body == b"still here"
        for target in ("/", "/projects/", "/api/projects/", "/static/samples/sample.jpg", "/health"):
            answer = media_only.ask(target)
            assert answer.status == 502, (target, answer.status)
            # A plain page: nothing of the addresses and errors behind it.
            assert len(answer.body) < 2_000 and str(label_studio.port).encode() not in answer.body
        # Who would have to be asked about is not let in.
        stranger = Person(media_only.port, people.ANNOTATOR)
        assert stranger.ask(resolve(task, URI)).status in (502, 503, 504)
        assert media_only.admin("/livez").status == 200
    finally:
        label_studio.start()

    wait_until("Label Studio is there again", lambda: media_only.ask("/health").status == 200)
    assert Person(media_only.port, people.ANNOTATOR).ask(resolve(task, URI)).body == b"still here"
    assert admin.call("/api/current-user/whoami")["email"] == people.ADMIN
