"""Debian's nginx and HAProxy as proxies in front of a node that speaks HTTP, to compare a router with."""

from pathlib import Path

from tests.lab import programs
from tests.lab.processes import Process, free_port

_NGINX = """
daemon off;
master_process off;
pid {directory}/proxy-nginx.pid;
error_log {directory}/proxy-nginx-error.log info;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {directory}/proxy-body;
    uwsgi_temp_path {directory}/proxy-uwsgi;
    proxy_temp_path {directory}/proxy-proxy;
    fastcgi_temp_path {directory}/proxy-fastcgi;
    scgi_temp_path {directory}/proxy-scgi;
    server {{
        listen {address};
        location / {{
            proxy_pass http://{node};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 64k;
        }}
    }}
}}
"""
_HAPROXY = """
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
frontend clients
    bind {address}
    default_backend nodes
backend nodes
    server node {node}
"""


class Proxy(Process):
    """A proxy on a free port of the loopback.

    Attributes:
        address: of the proxy.
    """

    def __init__(self, name: str, directory: Path, text: str, node: str, *argv: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        file = directory / f"proxy-{name}.conf"
        file.write_text(text.format(directory=directory, address=self.address, node=node))
        super().__init__(name, [*argv, str(file)], log=directory / f"proxy-{name}.log")

    def wait_ready(self) -> None:
        """Wait until it accepts connections."""
        self.wait_until_it_accepts(self.address)


def nginx(directory: Path, node: str) -> Proxy:
    """Start nginx in front of that address."""
    errors = str(directory / "proxy-nginx-error.log")
    return Proxy("nginx", directory, _NGINX, node, programs.nginx(), "-e", errors, "-c")


def haproxy(directory: Path, node: str) -> Proxy:
    """Start HAProxy in front of that address."""
    return Proxy("haproxy", directory, _HAPROXY, node, programs.haproxy(), "-db", "-f")
