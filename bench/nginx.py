"""nginx for the scenarios: one worker, no log, everything it writes in one directory."""

import os
from contextlib import ExitStack
from pathlib import Path

from bench.programs import Program, find

_CONFIG = """
daemon off; worker_processes {workers}; pid {directory}/{name}.pid; error_log {directory}/{name}.log warn;
{user}
events {{ worker_connections 12000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {directory}/body; uwsgi_temp_path {directory}/uwsgi;
  proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  scgi_temp_path {directory}/scgi;
  {content}
}}
"""


def nginx_command(
    directory: Path, content: str, name: str = "nginx", workers: int = 1
) -> list[str]:
    """Write a configuration, and return the command that runs nginx with it.

    Args:
        directory: for it and for what nginx writes.
        content: of the ``http`` block.
        name: of its files, if there are several.
        workers: processes that work.

    Raises:
        MissingError: if there is no nginx.
    """
    config = directory / f"{name}.conf"
    user = "user root;" if os.getuid() == 0 else ""
    values = {"directory": directory, "name": name, "user": user, "content": content}
    config.write_text(_CONFIG.format(workers=workers, **values))
    return [find("nginx"), "-c", str(config)]


def nginx(stack: ExitStack, directory: Path, content: str) -> Program:
    """Start nginx; the stack ends it."""
    return stack.enter_context(Program("nginx", nginx_command(directory, content), directory))


def uwsgi_pass(port: int, socket: Path) -> str:
    """Return a ``server`` block that passes everything on to a fastrouter."""
    return f"""server {{
    listen 127.0.0.1:{port};
    location / {{ include /etc/nginx/uwsgi_params; uwsgi_pass unix:{socket}; }}
  }}"""
