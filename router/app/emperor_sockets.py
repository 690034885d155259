"""Sockets of the Emperor's process: for operators, and for routers whose requests wait for a vassal that sleeps."""

import logging
import os

from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.vassal_sockets import emperors_socket, on_demand_directory
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.emperor.control import ControlListener
from uwsgi_router.router.emperor.wanted import WantedKeys
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.subscriptions.application import runtime

log = logging.getLogger("uwsgi-router.emperor")


def bind_controls(configuration: Configuration) -> list[ControlListener]:
    """Listen for operators where `uwsgi-router vassals` looks, and beside the routers' sockets."""
    paths = [
        runtime.new_control_path(os.environ, os.getpid(), runtime.EMPEROR),
        emperors_socket(configuration, os.environ),
    ]
    found = []
    for path in paths:
        try:
            if path is not None:
                found.append(ControlListener(path))
        except OSError as exc:
            log.warning("%s: %s: nobody can ask the Emperor there", path, exc.strerror or exc)
    return found


def bind_wanted(loop: SelectorLoop, configuration: Configuration) -> WantedKeys | None:
    """Listen for keys that requests of the routers beside us wait for, if vassals sleep."""
    directory = on_demand_directory(configuration, os.environ)
    if directory is None:
        return None
    try:
        wanted = WantedKeys(loop, directory)
        if not configuration.emperor.early and os.geteuid() == 0:
            user = identity(configuration.process, ())
            wanted.own(user.uid or -1, user.gid or -1)
    except OSError as exc:
        text = "%s: %s: requests start no vassal"
        log.error(text, directory, exc.strerror)  # noqa: TRY400 - one line
        return None
    return wanted
