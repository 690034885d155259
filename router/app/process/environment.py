"""Environment of the process: ``env``, ``umask`` and ``chdir`` of the configuration; systemd's state directory."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration, ProcessConfig

#: Name of the state file in ``$STATE_DIRECTORY``.
STATE_FILE: Final = "nodes"
_UMASK: Final = 0o027


def apply(config: ProcessConfig) -> None:
    """Apply ``env``, ``umask`` and ``chdir``, in this order.

    Raises:
        StartError: if the directory can't be entered.
    """
    os.environ.update(config.env)
    enter_directory(config)


def enter_directory(config: ProcessConfig) -> None:
    """Apply ``umask`` and ``chdir``.

    Raises:
        StartError: if the directory can't be entered.
    """
    if config.umask is not None:
        os.umask(config.umask)
    if config.chdir is not None:
        try:
            os.chdir(config.chdir)
        except OSError as exc:
            raise StartError(f"chdir = {config.chdir}: {exc.strerror}") from exc


def restrict_new_files(config: ProcessConfig) -> None:
    """Keep others out of files that are made from now on, unless ``umask`` says otherwise; a stricter mask stays.

    To be called once sockets are bound: the mask that the process was started with may let a group connect to them.
    """
    if config.umask is None:
        os.umask(os.umask(_UMASK) | _UMASK)


def state_directory(environ: Mapping[str, str]) -> str | None:
    """Return the directory that systemd made for the unit, or None."""
    # Several are separated by colons; the first is the unit's own.
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return os.path.normpath(directory) if os.path.isabs(directory) else None


def with_state_file(configuration: Configuration, environ: Mapping[str, str]) -> Configuration:
    """Return the configuration with a state file in ``$STATE_DIRECTORY``, unless it names one or needs none.

    systemd sets the variable for a unit with ``StateDirectory=``, and makes the directory.
    """
    directory = state_directory(environ)
    subscription = configuration.subscription
    listens = any(router.subscription_servers for router in configuration.routers)
    if subscription.state is not None or not listens or directory is None:
        return configuration
    kept = replace(subscription, state=os.path.join(directory, STATE_FILE))
    return replace(configuration, subscription=kept)
