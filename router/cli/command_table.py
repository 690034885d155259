"""Table of the commands: the name, module and argument parser of each.

A command's module is imported when the command is asked for, so that starting a router loads nothing it does not run.
"""

import importlib
from collections.abc import Callable

# Not from typing, which takes longer to import than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_ROOM = "uwsgi_router.router.cli"


class Command:
    """Command ``uwsgi-router NAME``.

    Attributes:
        summary: one line for lists.
        module: below ``router.cli``.
        function: takes the arguments behind the name and returns the exit status.
        parser: the function that returns its argument parser.
    """

    __slots__ = ("function", "module", "parser", "summary")

    def __init__(
        self, summary: str, module: str, function: str = "main", parser: str = "arguments"
    ) -> None:
        self.summary = summary
        self.module = module
        self.function = function
        self.parser = parser

    def run(self, arguments: list[str], loaded: Callable[[], None] | None = None) -> int:
        """Do what the arguments say; return the exit status.

        Args:
            arguments: what follows the name.
            loaded: called once its modules are imported.
        """
        call: Callable[[list[str]], int] = self._load(self.function)
        if loaded is not None:
            loaded()
        return call(arguments)

    def arguments(self) -> "argparse.ArgumentParser":
        """Return its argument parser, for what is written about the command."""
        make: Callable[[], argparse.ArgumentParser] = self._load(self.parser)
        return make()

    def _load(self, name: str) -> "Any":
        return getattr(importlib.import_module(f"{_ROOM}.{self.module}"), name)


COMMANDS = {
    "check": Command("find every mistake of a configuration, without starting", "check"),
    "completion": Command("print a script that completes commands and options", "completion"),
    "demo": Command("run both routers with two applications", "demo"),
    "drain": Command("take a node out of service", "steer", "drain", "drain_arguments"),
    "enable": Command("let a node have requests again", "steer", "enable", "enable_arguments"),
    "get": Command("send one request, over uwsgi or HTTP", "get"),
    "keys": Command("make keys for signed announces", "keys"),
    "pty": Command("connect this terminal to a forkpty router", "pty"),
    "reload": Command("have a running router read its configuration again", "reload"),
    "roll": Command("the same as rollout", "rollout", "roll", "roll_arguments"),
    "rollout": Command("replace copies of applications, or reload vassals, one by one", "rollout"),
    "serve": Command("run copies of a program, and HTTP in front of them", "serve"),
    "status": Command("show the nodes of a running router", "status"),
    "subscribe": Command("run a program, announce it once it serves", "subscribe"),
    "tuntap-device": Command("connect a TUN device to a tuntap router", "tuntap_device"),
    "undrain": Command("the same as enable", "steer", "undrain", "undrain_arguments"),
    "vassals": Command("show the vassals of an Emperor; start, stop, reload them", "vassals"),
    "weight": Command("set a node's share of the requests", "steer", "weight", "weight_arguments"),
}
