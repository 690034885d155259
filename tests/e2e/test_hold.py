"""A deploy of a single instance becomes latency instead of errors."""

import pytest

from tests.lab.place import Place
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("way", ["SIGINT", "kill -9"])
def test_with_hold_the_only_vassal_is_restarted_and_no_request_fails(
    lab: Place, way: str, family: str
) -> None:
    router = lab.router("--fastrouter-hold=10")
    address = str(lab.directory / "app.sock") if family == "unix" else None
    old = lab.vassal("old", router, address=address)
    router.wait_for_nodes(old.address)
    load = lab.load(lab.nginx(router.address), "/?seconds=0.005")
    load.wait_for(100)

    if way == "SIGINT":
        old.stop()
    else:
        old.kill()
    lab.vassal("new", router, address=old.address)
    wait_until(lambda: load.answered_by()["new"] >= 100, "the new one answers")
    load.stop()

    assert load.lost() == {}
