"""Label Studio as its users install it, and its API as its pages and scripts ask it."""

import json
import shutil
import sys
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import people
from processes import Program, free_port, wait_until
from wire import Answer, ask

IMAGE = '<View><Image name="image" value="$image"/><Choices name="choice" toName="image"><Choice value="Cat"/><Choice value="Dog"/></Choices></View>'
AUDIO = '<View><Audio name="audio" value="$audio"/><Choices name="choice" toName="audio"><Choice value="Speech"/></Choices></View>'
VIDEO = '<View><Video name="video" value="$video"/><Choices name="choice" toName="video"><Choice value="Walk"/></Choices></View>'


class Studio:
    """One Label Studio with a data folder of its own; the port is known before it runs."""

    def __init__(self, data: Path, **environment: str):
        self.data, self.port = data, free_port()
        self.environment = {"LABEL_STUDIO_BASE_DATA_DIR": str(data), **SETTINGS, **environment}
        self.program: Program | None = None

    def start(self, below: bool = False) -> None:
        """Starts it as its command does, or below the path of its `LABEL_STUDIO_HOST`."""
        argv = ["-m", "label_studio.server", "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port)]
        if below:
            argv = [str(Path(__file__).with_name("below.py")), str(self.port)]
        self.program = Program("label-studio", [sys.executable, *argv], self.data, self.environment)
        wait_until("Label Studio answers", self._answers, seconds=60, program=self.program)

    def stop(self) -> None:
        """Ends it as a power cut does; its development server knows no other way that is quick."""
        self.program.process.kill()
        self.program.wait()

    def log(self) -> str:
        """What it wrote; each request twice."""
        return self.program.log.read_text(errors="replace")

    def _answers(self) -> bool:
        try:
            return ask(self.port, "/health", timeout=5).status in (200, 404)
        except OSError:
            return False


def make_data(folder: Path) -> dict[str, int]:
    """Fills an empty data folder; the migrations of all its releases take half a minute."""
    environment = {"LABEL_STUDIO_BASE_DATA_DIR": str(folder), **SETTINGS}
    program = Program("label-studio-init", [sys.executable, people.__file__], folder, environment)
    code = program.wait(seconds=200)
    assert code == 0, program.tail()
    return json.loads(program.tail().splitlines()[-1])


def copy_data(template: Path, folder: Path) -> Path:
    return Path(shutil.copytree(template, folder))


class Person:
    """Somebody who asks at one port: with a legacy token, or with the session of a login."""

    def __init__(self, port: int, email: str, prefix: str = ""):
        self.port, self.email, self.prefix = port, email, prefix
        self.headers = {"Authorization": f"Token {people.token_of(email)}"}

    def log_in(self) -> "Person":
        """Trades the token for the cookies of a session, by the form that a browser fills in."""
        self.headers = {}
        page = self.ask("/user/login/")
        token = _cookies(page)["csrftoken"]
        form = urlencode({"csrfmiddlewaretoken": token, "email": self.email, "password": people.PASSWORD, "persist_session": "on"})
        answer = self.ask("/user/login/", "POST", form, {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={token}"})
        assert answer.status == 302, (answer.status, answer.body[:300])
        self.headers = {"Cookie": f"sessionid={_cookies(answer)['sessionid']}"}
        return self

    def log_out(self) -> None:
        """Ends the session as the page does. The cookie lives in the browser alone, which drops it."""
        assert self.ask("/logout").status in (200, 302)
        self.headers = {}

    def ask(self, target: str, method: str = "GET", body=None, headers: dict[str, str] | None = None) -> Answer:
        """One request; a body that is no text or bytes is sent as JSON."""
        fields = {**self.headers, **(headers or {})}
        if body is not None and not isinstance(body, (str, bytes)):
            body, fields = json.dumps(body), {"Content-Type": "application/json", **fields}
        return ask(self.port, self.prefix + target, method, fields, body=body)

    def call(self, target: str, method: str = "GET", body=None, status: tuple[int, ...] = (200, 201, 204)):
        """What an API answers, which has to be good."""
        answer = self.ask(target, method, body)
        assert answer.status in status, (method, target, answer.status, answer.body[:600])
        return json.loads(answer.body) if answer.body else None

    def project(self, title: str, label_config: str = IMAGE) -> int:
        return self.call("/api/projects/", "POST", {"title": title, "label_config": label_config})["id"]

    def import_tasks(self, project: int, *data: dict) -> list[int]:
        """Makes tasks as a script does, and returns their ids in order."""
        tasks = [{"data": fields} for fields in data]
        return self.call(f"/api/projects/{project}/import?return_task_ids=true", "POST", tasks)["task_ids"]

    def tasks(self, project: int, query: str = "&resolve_uri=false") -> list[dict]:
        return self.call(f"/api/tasks?project={project}&page_size=100&fields=all{query}")["tasks"]


def _cookies(answer: Answer) -> dict[str, str]:
    return {name: morsel.value for field in answer.headers.get_all("Set-Cookie", []) for name, morsel in SimpleCookie(field).items()}


# Nothing of it looks for the internet, and it may ask Garage and the gateway, which are on this machine.
SETTINGS = {
    "LABEL_STUDIO_HOST": "",
    "HOST": "",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "SSRF_PROTECTION_ENABLED": "false",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LOG_LEVEL": "WARNING",
}
