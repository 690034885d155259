"""Environment of the process: ``env``, ``umask`` and ``chdir`` of the configuration."""

import os

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig


def apply(config: ProcessConfig) -> None:
    """Apply ``env``, ``umask`` and ``chdir``, in this order.

    Raises:
        StartError: if the directory can't be entered.
    """
    os.environ.update(config.env)
    if config.umask is not None:
        os.umask(config.umask)
    if config.chdir is not None:
        try:
            os.chdir(config.chdir)
        except OSError as exc:
            raise StartError(f"chdir = {config.chdir}: {exc.strerror}") from exc
