"""Programs that run vassals: uWSGI."""

import shutil
from collections.abc import Mapping, Sequence

from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.vassal_file import VassalRefused


def program_of(config: EmperorConfig, environ: Mapping[str, str]) -> Sequence[str]:
    """Return the beginning of the command that runs a vassal.

    Raises:
        VassalRefused: there is no uWSGI.
    """
    if config.binary_path is not None:
        return [config.binary_path]
    found = shutil.which("uwsgi", path=environ.get("PATH"))
    if found is None and config.wrapper is None and not config.wrapper_overrides:
        raise VassalRefused(
            "no uwsgi in PATH: install it (pip install uwsgi), or give binary-path = PROGRAM"
        )
    return [found or "uwsgi"]
