"""Servers behind ``serve``, each started as its documentation says; and the package alone."""

import os
import pwd
import sys
from pathlib import Path

import pytest

from tests.lab.place import Place
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources

BIN = Path(sys.executable).parent
GUNICORN = (str(BIN / "gunicorn"), "--no-control-socket", "hello:wsgi")
DJANGO = (sys.executable, "manage.py", "runserver")

HELLO = """\
import os
from flask import Flask
from django.http import HttpResponse
from django.urls import path

def wsgi(environ, start):
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

app = Flask(__name__)

@app.get("/")
def hello():
    return "hello"

urlpatterns = [path("", lambda request: HttpResponse("hello"))]
"""
FASTAPI = """\
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()

@app.get("/")
def hello():
    return PlainTextResponse("hello")
"""
MANAGE = """\
import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF="hello", ALLOWED_HOSTS=["*"])
execute_from_command_line(sys.argv)
"""

SERVERS = {
    "http.server": (sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"),
    "gunicorn sync": (*GUNICORN, "-b", "{address}"),
    "gunicorn by its environment": GUNICORN,
    "gunicorn gthread at a socket": (*GUNICORN, "--threads", "4", "-b", "unix:{socket}"),
    "gunicorn with uvicorn": (
        str(BIN / "gunicorn"), "--no-control-socket", "-k", "uvicorn.workers.UvicornWorker", "hello:asgi",
    ),
    "uvicorn by its environment": (str(BIN / "uvicorn"), "hello:asgi"),
    "uvicorn at a socket": (str(BIN / "uvicorn"), "hello:asgi", "--uds", "{socket}"),
    "granian by its environment": (str(BIN / "granian"), "--interface", "wsgi", "hello:wsgi"),
    "hypercorn": (str(BIN / "hypercorn"), "hello:asgi", "--bind", "{address}"),
    "daphne": (str(BIN / "daphne"), "-p", "{port}", "hello:asgi"),
    "fastapi run": (str(BIN / "fastapi"), "run", "main.py"),
    "django": (*DJANGO, "--noreload", "{address}"),
    "flask by its environment": (str(BIN / "flask"), "--app", "hello", "run"),
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
def test_servers_as_their_documentation_starts_them(lab: Place, server: str) -> None:
    (lab.directory / "hello.py").write_text(HELLO)
    (lab.directory / "main.py").write_text(FASTAPI)
    (lab.directory / "manage.py").write_text(MANAGE)
    (lab.directory / "index.html").write_text("hello")
    served = lab.served("--replicas", "1", "--", *SERVERS[server])
    served.wait_for_http()
    assert served.get(timeout=50) == (200, "hello")
    (copy,) = served.wait_for_copies(1)
    assert served.stop() == 0
    assert not os.path.exists(f"/proc/{copy['pid']}")


def test_files_are_watched(lab: Place) -> None:
    pytest.importorskip("watchfiles")
    source = lab.directory / "source"
    source.mkdir()
    (source / "hello.py").write_text(HELLO)
    served = lab.served(
        "--replicas", "1", "--reload", str(source), "--cwd", str(source), "--", str(BIN / "uvicorn"), "hello:asgi"
    )  # fmt: skip
    (copy,) = served.wait_for_copies(1)
    served.wait_for_output("serves after")
    (source / "hello.py").write_text(HELLO.replace('b"hello"', 'b"hallo"'))
    wait_until(lambda: served.get()[1] == "hallo", "the change is served", 30)
    assert served.wait_for_copies(1)[0]["pid"] != copy["pid"]


SOCKET_SERVER = """\
import os, socketserver, sys
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"%d" % os.getuid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_HEAD = do_GET
    def address_string(self):
        return "unix"

socketserver.UnixStreamServer(sys.argv[1], Handler).serve_forever()
"""
PYTHON = "/usr/bin/python3"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not os.path.exists(PYTHON), reason="everybody's Python is not there")
def test_copies_run_as_somebody_else(lab: Place) -> None:
    lab.directory.chmod(0o755)
    (lab.directory / "server.py").write_text(SOCKET_SERVER)
    served = lab.served(
        "--replicas", "1", "--uid", "nobody", "--env", "HOME=/", "--", PYTHON, "server.py", "{socket}"
    )  # fmt: skip
    (copy,) = served.wait_for_copies(1)
    nobody = pwd.getpwnam("nobody").pw_uid
    assert os.stat(f"/proc/{copy['pid']}").st_uid == nobody
    assert served.get() == (200, str(nobody))
