"""Vassals behind our fastrouter, for tests of rollouts."""

import json
from pathlib import Path
from typing import Any

from tests.lab import programs
from tests.lab.linked_vassals import VassalSite
from tests.lab.load import Load
from tests.lab.place import Place
from tests.lab.processes import run


class OurSite(VassalSite):
    """Vassals behind our fastrouter, and nginx before it."""

    def __init__(self, lab: Place, *, workers: int = 1, **settings: Any) -> None:
        self.control = str(lab.directory / "control.sock")
        router = lab.router(
            f"--control-socket={self.control}",
            "--fastrouter-errors=http",
            f"--fastrouter-processes={workers}",
        )
        super().__init__(lab, router, **settings)
        self.nginx = lab.nginx(router.address)

    def load(self) -> Load:
        """Begin a load, of which several requests are under way at any time."""
        load = self.lab.load(self.nginx, "/?seconds=0.02", clients=6, methods=("GET", "POST"))
        load.wait_for(50)
        return load

    def generations(self) -> set[str]:
        """What a few requests are answered by."""
        return {self.nginx.get("/generation").body.decode() for _ in range(12)}

    def roll(self, *more: str) -> tuple[int, str, str]:
        """Run our command with the router's control socket."""
        return self.rollout("--control", self.control, *more)

    def states(self) -> dict[str, str]:
        """State of each node, by the name of its vassal."""
        argv = (programs.uwsgi_router(), "status", "--json", "--control", self.control)
        keys = json.loads(run(*argv).stdout)["keys"]
        return {Path(node["node"]).stem: node["state"] for key in keys for node in key["nodes"]}
