"""Rollouts of real uWSGI vassals under our own Emperor, behind our fastrouter: no request is lost."""

from collections.abc import Iterator

import pytest

from tests.e2e.rolled import OurSite
from tests.lab import programs
from tests.lab.place import temporary

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(programs.ROUTER_UNDER_TEST == "uwsgi", reason="it has no control socket"),
]


@pytest.fixture(scope="module")
def site() -> Iterator[OurSite]:
    """Four vassals; each test leaves them well."""
    with temporary() as place:
        yield OurSite(place, own=True)


def test_a_rollout_under_load_loses_nothing(site: OurSite) -> None:
    load = site.load()
    site.deploy("2")
    code, output, errors = site.roll()
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, "")
    assert sorted(output.splitlines()) == sorted(f"{name}: reloaded" for name in site.names)
    assert load.lost() == {}
    assert site.generations() == {"2"}


def test_a_reload_script_under_load_loses_nothing(site: OurSite) -> None:
    load = site.load()
    site.deploy("3")
    site.wait_for_next_second()
    code, output, errors = site.script("--timeout", "20")
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, "")
    assert sorted(output.splitlines()) == sorted(f"{name}: reloaded" for name in site.names)
    assert load.lost() == {}
    assert site.generations() == {"3"}


def test_a_broken_build_stops_at_the_first_vassal(site: OurSite) -> None:
    load = site.load()
    site.deploy("")
    code, output, errors = site.roll()
    load.wait_for(50)
    assert code == 1
    assert output.startswith("four: failed: it ended after the reload: ")
    assert "RuntimeError: this build is broken" in errors
    assert len(site.serving()) == 3
    site.deploy("4")
    code, output, errors = site.roll()
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, ""), output
    assert output.splitlines()[0] == "four: reloaded"
    assert load.lost() == {}
    assert set(site.states().values()) == {"ready"}
