"""A vassal on a UNIX socket whose backlog is full is busy, not dead."""

import pytest

from tests.lab.place import Place

pytestmark = pytest.mark.peers


# On asyncio's own loop too: its sock_connect takes a full backlog for success.
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_64_clients_of_a_unix_vassal_with_a_backlog_of_5_see_no_error(
    lab: Place, loop: str
) -> None:
    router = lab.router(f"--event-loop={loop}")
    address = str(lab.directory / "busy.sock")
    vassal = lab.vassal("busy", router, address=address, options=["--listen", "5"])
    assert "listen backlog is limited to 5" in vassal.output()
    router.wait_for_nodes(address)
    load = lab.load(lab.nginx(router.address), "/?seconds=0.02", clients=64)
    load.wait_for(600)
    load.stop()

    assert load.lost() == {}
    node = router.nodes()[address]
    assert (node["failcnt"], node["death_mark"]) == (0, 0)
