"""Command ``subscribe``: runs a program and announces it (:mod:`uwsgi_router.subscriptions.client.command`)."""

from uwsgi_router.subscriptions.client import command


def main(args: list[str]) -> int:
    """Run the program; return its exit code."""
    return command.main(args, "uwsgi-router subscribe")
