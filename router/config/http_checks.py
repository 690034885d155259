"""Cross checks of an HTTP router: missing error pages, settings that have no effect."""

import os

from uwsgi_router.router.config.model import HttpRouterConfig, ProcessConfig
from uwsgi_router.router.config.option import changed

# Only uwsgi nodes get these.
_VARIABLES = ("modifier1", "modifier2", "variables", "server_name_as_http_host")


def missing(router: HttpRouterConfig, process: ProcessConfig) -> list[str]:
    """Return what is missing for a start."""
    found = []
    for status, file in router.error_pages:
        # chdir is done before anything is opened.
        problem = _unreadable(os.path.join(process.chdir or "", file))
        if problem:
            found.append(f"http-error-page = {status}:{file}: {problem}")
    return found


def _unreadable(path: str) -> str | None:
    if not os.path.isfile(path):
        return "there is no such file"
    return None if os.access(path, os.R_OK) else "it may not be read"


def oddities(router: HttpRouterConfig) -> list[str]:
    """Return what starts and hardly does what was meant."""
    found = []
    for listener in router.secure:
        found += [
            f"{listener.option}: {key} has no effect: nobody speaks it any more"
            for key in listener.ignored
        ]
    if router.listen and any(one.files.ca_required for one in router.secure):
        found.append(
            f"http = {router.listen[0]}: who comes there needs no certificate, unlike on https; http-to-https redirects"
        )
    if router.error_pages and router.errors == "close":
        found.append("http-error-page with http-errors = close has no effect")
    if router.node_protos.isdisjoint(("uwsgi", "suwsgi")):
        given = changed(router, prefix="http")
        why = "http-backend-http" if router.backend_http else "nodes that speak HTTP"
        found += [
            f"{given[field]} has no effect with {why}: only uwsgi carries it"
            for field in _VARIABLES
            if field in given
        ]
    return found
