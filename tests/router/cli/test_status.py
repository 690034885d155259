"""``uwsgi-router status``: a table for people, JSON for scripts."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from tests.lab.lab import Lab
from tests.lab.router import Router
from tests.lab.tls import Authority
from uwsgi_router.router.cli import status
from uwsgi_router.version import __version__, build


@pytest.fixture
async def router(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Router:
    """A router that the commands find."""
    path = str(lab.path())
    monkeypatch.setenv("UWSGI_ROUTER_CONTROL", path)
    return await lab.subscribed(process={"control_socket": path})


async def run(*args: str) -> int:
    return await asyncio.to_thread(status.main, list(args))


async def test_a_table_for_people(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    registry = router.table.registry
    router.announce("127.0.0.1:4001", proto="uwsgi")
    drained = router.announce("127.0.0.1:4002", weight=2)
    router.announce("/run/app.sock", b"b.example", algo="lrc", backup=1).reference += 1
    registry.drain(drained)
    registry.set_weight(drained, 5)
    assert await run() == 0
    assert capsys.readouterr().out == (
        f"uwsgi-router {__version__} ({build()})\n"
        "node              state    requests  running           weight  backup  failures  announced  proto\n"
        "b.example (lrc)\n"
        "  /run/app.sock   ready           0        1                1       1         0    0 s ago  uwsgi\n"
        "example.com (wrr)\n"
        "  127.0.0.1:4001  ready           0        0                1       0         0    0 s ago  uwsgi\n"
        "  127.0.0.1:4002  drained         0        0  5 (announced 2)       0         0    0 s ago  uwsgi\n"
    )
    assert await run("b.example") == 0
    assert "127.0.0.1" not in capsys.readouterr().out
    registry.named("/run/app.sock")[0].let_go()


async def test_a_drained_node_that_died_is_both(
    router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    node = router.announce("127.0.0.1:4001")
    node.reference += 1
    router.table.registry.drain(node)
    node.connect_started()
    router.table.registry.connect_failed(node, 0.0, timed_out=False)
    await run()
    assert "  gone, drained  " in capsys.readouterr().out
    node.let_go()


async def test_json_for_scripts(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    router.announce("127.0.0.1:4001", b"a\xff\xc2\x9b2j", weight=3)
    assert await run("--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["build"]) == (__version__, build())
    (key,) = shown["keys"]
    assert (key["key"], key["algorithm"]) == ("a\\xff\\x9b2j", "wrr")
    (node,) = key["nodes"]
    assert 0 <= node.pop("age") < 10
    assert node == {
        "node": "127.0.0.1:4001",
        "state": "ready",
        "requests": 0,
        "running": 0,
        "weight": 3,
        "announced_weight": 3,
        "set_weight": None,
        "backup": 0,
        "failures": 0,
        "proto": "uwsgi",
        "drained": False,
        "check": "",
    }


async def test_what_a_peer_announced_does_not_reach_the_terminal_as_it_is(
    router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    router.announce("127.0.0.1:4001", b"\xc2\x9b2j\xff")
    assert await run() == 0
    assert "\\x9b2j\\xff (wrr)" in capsys.readouterr().out


async def test_nobody_is_there(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run() == 0
    assert capsys.readouterr().err == "uwsgi-router status: there is no node\n"
    assert await run("example.com", "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["keys"] == []
    assert err == "uwsgi-router status: there is no node of the key example.com\n"


async def test_thousands_of_nodes(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3000):
        router.announce(f"127.0.0.1:{number % 300 + 1}", b"%d.example" % (number // 300))
    assert await run() == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 10 + 3000


def test_without_a_router_it_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--control", "/nonexistent"]) == 1
    assert "there is no such socket" in capsys.readouterr().err


async def test_ends_of_certificates(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(lab.path())
    monkeypatch.setenv("UWSGI_ROUTER_CONTROL", path)
    authority = Authority.made(lab.tmp_path / "tls")
    await lab.to(lab.http_node(), secure=(authority.listener(),), process={"control_socket": path})
    assert await run() == 0
    *_, empty, heading, line = capsys.readouterr().out.splitlines()
    assert (empty, heading.split()) == ("", ["certificate", "ends", "in", "file"])
    name, day, days, unit, file = line.split()
    assert (name, unit, file) == ("localhost", "days", authority.issue().certificate)
    assert int(days) > 14
    assert await run("--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["certificates"]
    assert (one["name"], one["file"]) == ("localhost", file)
    ends = datetime.fromtimestamp(one["not_after"], UTC)
    assert f"{ends:%Y-%m-%d}" == day


@pytest.mark.parametrize(
    ("seconds", "day", "left"),
    [(3 * 86_400, 15, "3 days"), (86_399, 13, "0 days"), (-1, 12, "it has ended")],
)
def test_first_end_comes_first(seconds: int, day: int, left: str) -> None:
    ends = [
        {"name": "a\x1b.example", "file": "/a", "not_after": 1_000_000_000},
        {"name": "z.example", "file": "/z", "not_after": 1_000_000 + seconds},
    ]
    lines = status.ends_table(ends, 1_000_000).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "",
        "certificate ends in file",
        f"z.example 1970-01-{day} {left} /z",
        "a\\x1b.example 2001-09-09 11562 days /a",
    ]
