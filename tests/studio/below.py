"""Serves Label Studio below the path of `LABEL_STUDIO_HOST`; run by Label Studio's own Python, with a port as argument.

Label Studio writes that path into its links but does not take it off the requests: it leaves that to what stands before
it, its nginx or uWSGI's `manage-script-name`. This does the same to the unmodified application.
"""

import os
import sys
from socketserver import ThreadingMixIn
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def mounted(application, prefix: str):
    def serve(environ, start_response):
        path = environ["PATH_INFO"]
        if not path.startswith(f"{prefix}/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not below the path"]
        return application({**environ, "SCRIPT_NAME": prefix, "PATH_INFO": path.removeprefix(prefix)}, start_response)

    return serve


if __name__ == "__main__":
    from label_studio import server

    server._setup_env()
    from django.core.wsgi import get_wsgi_application

    application = mounted(get_wsgi_application(), urlsplit(os.environ["LABEL_STUDIO_HOST"]).path)
    make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
