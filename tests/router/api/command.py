"""The command's judgement of the ini file that a router prints."""

import os
import tempfile
from pathlib import Path

from uwsgi_router.router.api import RouterFast, RouterHttp
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.config.lines import Severity
from uwsgi_router.router.config.load import examine


def refused_by_the_command(router: RouterFast | RouterHttp) -> bool:
    """Return True if ``uwsgi-router`` does not start with what the router prints."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "router.ini"
        path.write_bytes(router.as_ini().encode("utf-8", "surrogateescape"))
        report = prepare(examine([os.fspath(path)], {"HOME": "/home/me"}))
    return any(problem.severity is Severity.ERROR for problem in report.problems)
