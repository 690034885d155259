"""A restarted router serves at once what it served before."""

import json
from collections.abc import Callable

import pytest

from tests.lab.clients import answer_of
from tests.lab.commands import Router
from tests.lab.messages import from_web_server
from tests.lab.place import Place
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

ENDS: dict[str, Callable[[Router], None]] = {"TERM": Router.stop, "kill -9": Router.kill}


@pytest.mark.parametrize("way", ENDS)
def test_it_serves_from_its_file_before_any_node_announces_itself(lab: Place, way: str) -> None:
    state = lab.directory / "state"
    option = f"--subscription-state={state}"
    router = lab.router(option)
    vassal = lab.vassal("one", router, announce_every=1000)
    router.wait_for_nodes(vassal.address)
    if way == "kill -9":
        wait_until(lambda: state.exists() and vassal.address in state.read_text(), "it is written")
    ENDS[way](router)
    again = lab.router(option, listen=router.address, announce=router.announce)
    assert answer_of(again.address, from_web_server()).startswith(b"HTTP/1.1 200 ")
    assert "1 nodes restored" in again.output()
    assert (state.stat().st_mode & 0o777) == 0o600
    assert list(lab.directory.glob("state.*")) == []


def test_a_spoilt_file_costs_one_line_and_the_nodes(lab: Place) -> None:
    state = lab.directory / "state"
    state.write_text("rubbish")
    state.chmod(0o600)
    router = lab.router(f"--subscription-state={state}")
    lines = [line for line in router.output().splitlines() if "is not used" in line]
    assert len(lines) == 1
    assert router.nodes() == {}
    router.stop()
    assert json.loads(state.read_text().splitlines()[0])["version"] == 1
