"""Whether the settings of an HTTP router go together, and the files that it needs are there."""

import os

from uwsgi_router.router.config.model import HttpRouterConfig, ProcessConfig

# The first has no effect while the second is as it is by default.
_NEEDS = (
    ("auto_chunked", "http-auto-chunked", "keepalive", "http-keepalive"),
    ("websocket_timeout", "http-websocket-timeout", "websockets", "http-websockets"),
    ("websocket_check", "http-websocket-check", "websockets", "http-websockets"),
    ("websocket_max_frame", "http-websocket-max-frame", "websocket_check", "http-websocket-check"),
    ("websocket_max_message", "http-websocket-max-message", "websocket_check", "http-websocket-check"),
    ("access_log_format", "http-access-log-format", "access_log", "http-access-log"),
)  # fmt: skip
# Only uwsgi nodes get these.
_VARIABLES = (
    ("modifier1", "http-modifier1"),
    ("modifier2", "http-modifier2"),
    ("variables", "http-var"),
    ("server_name_as_http_host", "http-server-name-as-http-host"),
)


def missing(router: HttpRouterConfig, process: ProcessConfig) -> list[str]:
    """What has to be there before anything can start."""
    found = [
        f"http-to-https = {redirect.listen}: there is http = {redirect.listen}, too; only one can have that address"
        for redirect in router.redirects
        if redirect.listen in router.listen
    ]
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
    """What will start and hardly do what was meant."""
    found = [
        f"{option} without {needed} has no effect"
        for field, option, needs, needed in _NEEDS
        if _is_set(router, field) and not _is_set(router, needs)
    ]
    if router.error_pages and router.errors == "close":
        found.append("http-error-page with http-errors = close has no effect")
    if router.backend_http and not router.subscription_servers:
        found += [
            f"{option} has no effect with http-backend-http: only uwsgi carries it"
            for field, option in _VARIABLES
            if _is_set(router, field)
        ]
    return found


def _is_set(router: HttpRouterConfig, field: str) -> bool:
    return bool(getattr(router, field) != getattr(HttpRouterConfig(), field))
