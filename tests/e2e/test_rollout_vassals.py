"""Rollouts of real uWSGI vassals, under uWSGI's own Emperor, behind our fastrouter: no request is lost."""

import pytest

from tests.lab import programs
from tests.lab.nginx import Nginx
from tests.lab.place import Place
from tests.lab.vassals import VassalSite

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(programs.ROUTER_UNDER_TEST == "uwsgi", reason="it has no control socket"),
]


class OurSite(VassalSite):
    """Vassals behind our fastrouter, and nginx before it."""

    def __init__(self, lab: Place, **settings: object) -> None:
        self.control = str(lab.directory / "control.sock")
        router = lab.router(f"--control-socket={self.control}", "--fastrouter-errors=http")
        super().__init__(lab, router, **settings)  # type: ignore[arg-type]
        self.nginx: Nginx = lab.nginx(router.address)

    def generations(self) -> set[str]:
        """What a few requests are answered by."""
        return {self.nginx.get("/generation").body.decode() for _ in range(12)}


def test_a_rollout_under_load_loses_nothing(lab: Place) -> None:
    site = OurSite(lab)
    load = lab.load(site.nginx, "/?seconds=0.02", clients=6, methods=("GET", "POST"))
    load.wait_for(50)
    site.deploy("2")
    code, output, errors = site.rollout("--control", site.control)
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, "")
    assert sorted(output.splitlines()) == sorted(f"{name}: reloaded" for name in site.names)
    assert load.lost() == {}
    assert set(load.answered_by()) == set(site.names)
