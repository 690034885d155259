"""nginx in front, three real vassals behind: two on TCP, one on a UNIX socket."""

import hashlib
import time
from dataclasses import dataclass

import pytest

from tests.lab import programs
from tests.lab.commands import Router
from tests.lab.load import Load
from tests.lab.messages import HOST
from tests.lab.nginx import Nginx
from tests.lab.place import Place
from tests.lab.servers import Vassal
from tests.lab.waiting import wait_until
from tests.peers.app import pattern

pytestmark = pytest.mark.peers

MEGABYTE = 1_000_000


@dataclass
class Site:
    """Everything an operator has."""

    lab: Place
    router: Router
    nginx: Nginx
    vassals: dict[str, Vassal]

    def load(self, *methods: str) -> Load:
        """Begin constant load, slow enough an answer that several are under way at any time."""
        load = self.lab.load(self.nginx, "/?seconds=0.01", clients=12, methods=methods or ("GET",))
        load.wait_for(100)
        return load


@pytest.fixture
def site(lab: Place) -> Site:
    """Start it all and wait until the three are in the table."""
    router = lab.router()
    settings = {"options": ["--unsubscribe-on-graceful-reload"]}
    vassals = {
        "tcp1": lab.vassal("tcp1", router, **settings),
        "tcp2": lab.vassal("tcp2", router, **settings),
        "unix": lab.vassal("unix", router, address=str(lab.directory / "app.sock"), **settings),
    }
    router.wait_for_nodes(*(vassal.address for vassal in vassals.values()))
    return Site(lab, router, lab.nginx(router.address), vassals)


def test_thirty_requests_are_spread_evenly(site: Site) -> None:
    answers = [site.nginx.get() for _ in range(30)]
    names = [answer.vassal for answer in answers]
    assert {name: names.count(name) for name in set(names)} == {"tcp1": 10, "tcp2": 10, "unix": 10}


def test_a_large_upload_and_a_large_download_arrive_whole(site: Site) -> None:
    upload = b"".join(pattern(3 * MEGABYTE))
    expected = f"{len(upload)} {hashlib.sha256(upload).hexdigest()}"
    for _ in site.vassals:
        answer = site.nginx.request("POST", "/upload", upload)
        assert answer.body.decode().split(" ", 1)[1].strip() == expected

    answer = site.nginx.get(f"/download?size={100 * MEGABYTE}")
    assert len(answer.body) == 100 * MEGABYTE
    expected_download = hashlib.sha256()
    for block in pattern(100 * MEGABYTE):
        expected_download.update(block)
    assert hashlib.sha256(answer.body).digest() == expected_download.digest()


@pytest.mark.parametrize("name", ["tcp1", "unix"])
def test_kill_9_of_a_vassal_under_load_loses_no_get(site: Site, name: str) -> None:
    load = site.load()
    site.vassals[name].kill()
    load.wait_for(400)
    load.stop()
    assert load.lost() == {}


@pytest.mark.parametrize("name", ["tcp1", "unix"])
@pytest.mark.parametrize("way", ["SIGINT", "fifo q"])
def test_a_leaving_vassal_loses_no_get_and_of_the_posts_only_those_it_had(
    site: Site, way: str, name: str
) -> None:
    vassal = site.vassals[name]
    load = site.load("GET", "POST")
    if way == "SIGINT":
        vassal.stop()
    else:
        vassal.stop_by_fifo()
    gone = time.monotonic()
    load.wait_for(300)
    load.stop()

    assert load.failures("GET") == []
    lost = load.failures("POST")
    assert [post for post in lost if post.started > gone or post.seconds > 2.0] == []
    assert len(lost) <= 12, "no more can have been under way"
    if programs.ROUTER_UNDER_TEST == "ours":
        assert explained(site.router, vassal.address) == len(lost), lost


def explained(router: Router, node: str) -> int:
    """Return how many failed requests the log explains, with the key and the node that had them."""
    return sum(
        " failed: 502 " in line and f"key={HOST}" in line and f"node={node} " in line
        for line in router.output().splitlines()
    )


@pytest.mark.parametrize("name", ["tcp1", "unix"])
def test_a_graceful_reload_under_load_loses_nothing(site: Site, name: str) -> None:
    load = site.load("GET", "POST")
    site.vassals[name].reload()
    site.router.wait_for_nodes(*(vassal.address for vassal in site.vassals.values()))
    load.wait_for(300)
    load.stop()
    assert load.lost() == {}


def test_a_new_vassal_takes_traffic_within_its_first_announce(site: Site) -> None:
    load = site.load()
    newcomer = site.lab.vassal("newcomer", site.router)
    wait_until(lambda: newcomer.address in site.router.nodes(), "the newcomer is in the table")
    seen = time.monotonic()
    load.wait_for(60)
    load.stop()

    assert load.lost() == {}
    later = sorted((o for o in load.outcomes if o.started > seen), key=lambda o: o.started)
    assert "newcomer" in [o.vassal for o in later[:24]]
