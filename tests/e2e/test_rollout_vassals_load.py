"""Four linked vassals of uWSGI's Emperor, and of ours, are reloaded under load: no request is lost."""

from collections.abc import Iterator

import pytest

from tests.e2e.rolled import OurSite
from tests.lab import programs
from tests.lab.place import temporary

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(programs.ROUTER_UNDER_TEST == "uwsgi", reason="it has no control socket"),
]


@pytest.fixture(scope="module", params=["uWSGI's Emperor", "ours"])
def site(request: pytest.FixtureRequest) -> Iterator[OurSite]:
    """Four vassals behind our fastrouter; each test leaves them well."""
    with temporary() as place:
        yield OurSite(place, own=request.param == "ours")


def test_a_rollout_under_load_loses_nothing(site: OurSite) -> None:
    load = site.load()
    site.deploy("2")
    code, output, errors = site.roll()
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, "")
    assert sorted(output.splitlines()) == sorted(f"{name}: reloaded" for name in site.names)
    assert load.lost() == {}
    assert set(load.answered_by()) == set(site.names)
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


@pytest.mark.deadline(150)
def test_a_broken_build_stops_at_the_first_vassal(site: OurSite) -> None:
    """With need-app its program ends; the next rollout begins with it, when the Emperor's delay is over."""
    load = site.load()
    site.deploy("")
    code, output, errors = site.roll()
    load.wait_for(50)
    assert code == 1
    # Ours says how, too.
    assert output.startswith("four: failed: it ended after the reload")
    assert "  RuntimeError: this build is broken" in errors
    assert errors.splitlines()[-1].endswith("; 0 of 4 are reloaded, 3 untouched")
    assert len(site.serving()) == 3
    site.deploy("4")
    code, output, errors = site.roll()
    load.wait_for(50)
    load.stop()
    assert (code, errors) == (0, ""), output
    assert output.splitlines()[0] == "four: reloaded"
    assert load.lost() == {}
    assert set(site.states().values()) == {"ready"}
    assert site.generations() == {"4"}
