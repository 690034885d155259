"""Entry point of ``python -m uwsgi_router``: the command ``uwsgi-router``."""

import sys

from uwsgi_router.router.cli.main import command

if __name__ == "__main__":
    sys.exit(command())
