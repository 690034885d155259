"""Command ``subscribe``: runs a program and announces it (:mod:`uwsgi_router.subscriptions.client.command`)."""

import argparse

from uwsgi_router.subscriptions.client import command

_NAME = "uwsgi-router subscribe"


def main(args: list[str]) -> int:
    """Run the program; return its exit code."""
    return command.main(args, _NAME)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    return command.arguments_of(_NAME)
