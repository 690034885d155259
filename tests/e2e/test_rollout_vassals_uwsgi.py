"""Rollouts of vassals behind uWSGI's own fastrouter and Emperor: what its statistics, links and fifos need."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.clients import Client
from tests.lab.commands import OtherRouter
from tests.lab.linked_vassals import VassalSite
from tests.lab.load import Load
from tests.lab.place import Place, temporary
from tests.lab.processes import free_port
from tests.lab.waiting import wait_until
from uwsgi_router.router.rollout import tolerant

pytestmark = pytest.mark.peers

#: As the example configurations of reload scripts have it.
EXAMPLE = (
    "need-app = true",
    "unsubscribe-on-graceful-reload = true",
    "start-unsubscribed = true",
    "hook-accepting1-once = writefifo:../%n.fifo S",
)


class CommaRouter(OtherRouter):
    """uWSGI with a fastrouter and an HTTP router: its statistics have a comma too many."""

    def __init__(self, lab: Place) -> None:
        super().__init__(lab.directory, "--http", f"127.0.0.1:{free_port()}")

    def stats(self) -> dict[str, Any]:
        try:
            with Client(self._stats) as client:
                document = client.rest().decode()
        except (FileNotFoundError, ConnectionRefusedError):
            return {}
        assert ",\n\n\t]" in document
        found: dict[str, Any] = tolerant.loads(document)
        return found


class UwsgiSite(VassalSite):
    """Vassals behind uWSGI's fastrouter, and nginx before it."""

    def __init__(self, lab: Place, router: OtherRouter | None = None, **settings: Any) -> None:
        super().__init__(lab, router or lab.other_router(), **settings)
        self.nginx = lab.nginx(self.router.address)
        self.fifos = ("--fifo", f"{self.directory}/%n.fifo")

    def load(self) -> Load:
        """Begin a load, of which several requests are under way at any time."""
        load = self.lab.load(self.nginx, "/?seconds=0.02", clients=4)
        load.wait_for(50)
        return load

    def sockets(self, *names: str) -> set[str]:
        """The nodes of these vassals."""
        return {f"{self.directory}/{name}.sock" for name in names}


@pytest.fixture(scope="module")
def site() -> Iterator[UwsgiSite]:
    """Three vassals, as the example has them; each test leaves them well."""
    with temporary() as place:
        yield UwsgiSite(
            place, names=("one", "two", "three"), options=(*EXAMPLE, "subscribe-freq = 2")
        )


def test_a_rollout_under_load_loses_nothing(site: UwsgiSite) -> None:
    load = site.load()
    code, output, errors = site.rollout()
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, "")
    assert sorted(output.splitlines()) == [f"{name}: reloaded" for name in sorted(site.names)]
    assert load.lost() == {}


def test_one_that_silences_vassals_first_never_has_a_request_wait(site: UwsgiSite) -> None:
    load = site.load()
    code, output, errors = site.rollout(*site.fifos, "--timeout", "15")
    load.wait_for(50)
    load.stop()
    assert (code, errors, len(output.splitlines())) == (0, "", 3)
    assert load.lost() == {}
    assert max(outcome.seconds for outcome in load.outcomes) < 0.9, "a restart takes a second"


def test_a_second_one_in_the_same_second_is_seen_too(site: UwsgiSite) -> None:
    before = site.emperor.vassals()["one.ini"]
    for _ in range(2):
        now = site.emperor.vassals()["one.ini"]["last_mod"]
        # As if it had been deployed in this second: the Emperor knows this time already.
        os.utime(site.emperor.path / "one.ini", (now, now), follow_symlinks=False)
        assert site.rollout("--vassal", "one.ini")[:2] == (0, "one: reloaded\n")
    after = site.emperor.vassals()["one.ini"]
    assert after["respawns"] == before["respawns"] + 2
    assert after["last_mod"] > before["last_mod"]


def test_a_broken_build_takes_one_vassal_down(site: UwsgiSite) -> None:
    load = site.load()
    site.deploy("")
    code, output, errors = site.rollout("-q", "--vassal", "[ot]*")
    load.wait_for(50)
    load.stop()
    assert (code, output) == (1, "")
    assert "RuntimeError: this build is broken" in errors
    assert load.lost() == {}
    assert site.serving() == site.sockets("two", "three")
    site.deploy("2")
    assert site.rollout("--vassal", "one")[0] == 0
    assert site.serving() == site.sockets(*site.names)


def test_kill_9_leaves_no_vassal_silenced(site: UwsgiSite) -> None:
    with site.holding(site.nginx.port, len(site.names)) as statuses:
        rolling = site.rolling(*site.fifos, "--vassal", "two")
        wait_until(lambda: site.serving() == site.sockets("one", "three"), "it is unsubscribed")
        os.kill(rolling.pid, signal.SIGKILL)
        wait_until(lambda: site.serving() == site.sockets(*site.names), "it is there again")
    assert set(statuses) == {200}


def test_a_request_that_does_not_end_keeps_its_vassal_announced(site: UwsgiSite) -> None:
    before = site.emperor.vassals()
    with site.holding(site.nginx.port, len(site.names)) as statuses:
        code, output, _ = site.rollout(*site.fifos, "--vassal", "two", "--drain", "0.5")
        assert (code, output) == (1, "two: failed: its nodes still have 1 requests after 0.5 s\n")
        wait_until(lambda: site.serving() == site.sockets(*site.names), "it is there again")
    assert set(statuses) == {200}
    assert site.emperor.vassals()["two.ini"]["respawns"] == before["two.ini"]["respawns"]


def test_statistics_with_commas_too_many_tcp_nodes_and_dots_in_names(lab: Place) -> None:
    router = lab.started(CommaRouter(lab))
    site = UwsgiSite(lab, router, names=("a.b", "a.c"), sockets="127.0.0.1:0", links=False)
    assert all(name.startswith("127.0.0.1:") for name in site.serving())
    code, output, errors = site.rollout()
    assert (code, output, errors) == (0, "a.b: reloaded\na.c: reloaded\n", "")


def test_each_pool_keeps_its_minimum(lab: Place) -> None:
    """Both vassals serve one key, and only one of them the other."""
    router = lab.other_router()
    key = f"subscribe2 = server={router.announce},key=only-%n"
    site = UwsgiSite(lab, router, names=("one", "two"), options=(key, *EXAMPLE[:2]))
    code, output, errors = site.rollout()
    assert (code, output) == (1, "")
    assert "0 other nodes of only-one would be in service, and there have to be 1" in errors
    code, output, errors = site.rollout("--minimum-active-vassals", "0")
    assert (code, output, errors) == (0, "one: reloaded\ntwo: reloaded\n", "")


def test_links_under_an_emperor_that_follows_them_are_refused(lab: Place) -> None:
    site = UwsgiSite(lab, names=("one", "two"), emperor=())
    os.utime(site.emperor.path / "one.ini", (1e9, 1e9), follow_symlinks=False)
    code, output, errors = site.rollout()
    assert (code, output) == (1, "")
    assert "one.ini is a link, and the Emperor looks at what it points to" in errors


def test_paths_of_a_pattern_and_a_sleeping_vassal(lab: Place) -> None:
    """The Emperor of a pattern calls vassals by their paths; one that sleeps only has to see the change."""
    watched = lab.directory / "vassals"
    site = UwsgiSite(
        lab,
        names=("one", "two"),
        options=EXAMPLE[:2],
        pattern="*.ini",
        emperor=("--emperor-nofollow", "--emperor-on-demand-extension", ".socket"),
    )
    assert set(site.emperor.vassals()) == {str(watched / f"{name}.ini") for name in site.names}
    code, output, errors = site.rollout()
    assert (code, output, errors) == (0, "one: reloaded\ntwo: reloaded\n", "")
    (watched / "zzz.ini.socket").write_text(f"{site.directory}/zzz.sock")
    (watched / "zzz.ini").write_text(f"[uwsgi]\nwsgi-file = {site.program}\n")
    wait_until(lambda: len(site.emperor.vassals()) == 3, "it sleeps")
    before = site.emperor.vassals()[str(watched / "zzz.ini")]
    assert before["pid"] == -1
    code, output, errors = site.rollout("--vassal", "zzz", "--allow-unrouted")
    slept = "zzz: reloaded (it sleeps, and starts anew when somebody connects)\n"
    assert (code, output, errors) == (0, slept, "")
    after = site.emperor.vassals()[str(watched / "zzz.ini")]
    assert (after["pid"], after["last_mod"] > before["last_mod"]) == (-1, True)
