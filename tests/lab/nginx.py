"""Debian's nginx in front of a router, as its documentation tells operators to set it up."""

import http.client
import os
from pathlib import Path

from tests.lab import programs
from tests.lab.processes import Process, free_port

_CONFIGURATION = """
daemon off;
master_process on;
worker_processes 1;
{user}
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log info;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    uwsgi_temp_path {directory}/uwsgi;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            include {params};
            uwsgi_param HTTP_HOST example.com;
            uwsgi_read_timeout 30s;
            uwsgi_pass {target};
        }}
    }}
}}
"""


class Nginx(Process):
    """nginx on a free port of the loopback; ``target`` is the router's ``host:port`` or path."""

    def __init__(self, directory: Path, target: str) -> None:
        self.port = free_port()
        self._errors = directory / "nginx-error.log"
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                # Its workers must reach sockets in a directory that is private to this user.
                user="user root root;" if os.geteuid() == 0 else "",
                directory=directory,
                port=self.port,
                params=_params(directory),
                target=f"unix:{target}" if target.startswith("/") else target,
            )
        )
        super().__init__(
            "nginx",
            [programs.nginx(), "-e", str(self._errors), "-c", str(configuration)],
            log=directory / "nginx.log",
        )

    def wait_ready(self) -> None:
        """Wait until it accepts connections."""
        self.wait_until_it_accepts(f"127.0.0.1:{self.port}")

    def errors(self) -> str:
        """Return nginx's error log."""
        return self._errors.read_text() if self._errors.exists() else ""

    def get(self, path: str = "/") -> "Answer":
        """Send one GET."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None) -> "Answer":
        """Send one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()


class Answer:
    """A response, read whole."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def vassal(self) -> str:
        """The vassal that answered ("" unless it was one)."""
        return self.body.split(b" ", 1)[0].decode() if self.status == 200 else ""


def _params(directory: Path) -> Path:
    """Write the parameters of nginx's own file; a user's /etc/nginx may hold anything."""
    path = directory / "uwsgi_params"
    names = {
        "QUERY_STRING": "$query_string",
        "REQUEST_METHOD": "$request_method",
        "CONTENT_TYPE": "$content_type",
        "CONTENT_LENGTH": "$content_length",
        "REQUEST_URI": "$request_uri",
        "PATH_INFO": "$document_uri",
        "DOCUMENT_ROOT": "$document_root",
        "SERVER_PROTOCOL": "$server_protocol",
        "REQUEST_SCHEME": "$scheme",
        "REMOTE_ADDR": "$remote_addr",
        "REMOTE_PORT": "$remote_port",
        "SERVER_PORT": "$server_port",
        "SERVER_NAME": "$server_name",
    }
    path.write_text("".join(f"uwsgi_param {name} {value};\n" for name, value in names.items()))
    return path
