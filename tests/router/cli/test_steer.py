"""``uwsgi-router drain``, ``enable`` and ``weight``: what they do, what they print, how they exit."""

import asyncio
from collections.abc import Callable

import pytest

from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, request
from tests.lab.router import Router
from tests.lab.waiting import a_few_turns
from uwsgi_router.router.cli import steer
from uwsgi_router.router.cli.main import main

NODE = "127.0.0.1:9"
Command = Callable[[list[str]], int]


@pytest.fixture(autouse=True)
def control(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where commands find the router unless told otherwise."""
    path = str(lab.path())
    monkeypatch.setenv("UWSGI_ROUTER_CONTROL", path)
    return path


@pytest.fixture
async def router(lab: Lab, control: str) -> Router:
    return await lab.subscribed(process={"control_socket": control})


async def run(command: Command, *args: str) -> int:
    return await asyncio.to_thread(command, list(args))


async def test_a_node_without_requests_is_drained_at_once(
    router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    node = router.announce(NODE)
    assert await run(steer.drain, NODE) == 0
    assert node.drained
    assert capsys.readouterr().out == f"{NODE} is drained and has no requests\n"
    assert await run(steer.enable, NODE) == 0
    assert not node.drained


async def test_drain_returns_when_the_last_request_has_ended(
    lab: Lab, router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    node = lab.held()
    router.announce(node.address)
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    assert await run(steer.drain, node.address, "--timeout", "0") == 3
    expected = f"{node.address} is drained, but 1 requests are still running after 0 s\n"
    assert capsys.readouterr().err == expected
    assert await run(steer.drain, node.address, "--timeout", "0.05") == 3
    task = asyncio.get_running_loop().create_task(run(steer.drain, node.address))
    await a_few_turns()
    assert not task.done()
    await upstream.send(OK)
    upstream.close()
    assert await client.rest() == OK
    assert await task == 0


@pytest.mark.parametrize("node", [NODE, "127.0.0.1", "mistyped"])
async def test_a_node_that_is_not_there_is_1_unless_a_script_does_not_mind(
    node: str, router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    router.announce(NODE, b"other")
    assert await run(steer.drain, node, "--key", "a") == 1
    told = f"uwsgi-router drain: there is no node {node} of the key a; "
    assert capsys.readouterr().err == f"{told}`uwsgi-router status` shows them all\n"
    assert await run(steer.drain, node, "--key", "a", "--missing-ok") == 0
    expected = f"there is no node {node} of the key a: there is nothing to drain\n"
    assert capsys.readouterr().out == expected


async def test_configured_nodes_are_seen_and_steered_too(
    lab: Lab, control: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node, fallback = lab.refused_tcp(), lab.refused_tcp()
    await lab.http(to=(node,), fallback=(fallback,), process={"control_socket": control})
    assert await run(main, "drain", node) == 0
    assert await run(main, "weight", node, "3") == 0
    assert await run(main, "weight", fallback, "3") == 1
    assert f"http-fallback = {fallback}: it has no weight" in capsys.readouterr().err
    assert await run(main, "status") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("http-")] == [
        "http-to (in turn)",
        "http-fallback (in order)",
    ]
    (line,) = [line for line in shown if node in line]
    assert line.split()[1:5] == ["drained", "0", "0", "3"]
    assert line.split()[-2:] == ["-", "uwsgi"]
    assert await run(main, "undrain", node) == 0
    assert f"{node} is enabled" in capsys.readouterr().out


async def test_weight_is_set_and_taken_back(router: Router) -> None:
    node, other = router.announce(NODE, weight=2), router.announce(NODE, b"other")
    assert await run(steer.weight, NODE, "7", "--key", KEY.decode()) == 0
    assert (node.weight, other.weight) == (7, 1)
    router.announce(NODE, weight=3)
    for back, weight in (("announced", 3), ("0", 3)):
        node.weigh(9)
        assert await run(steer.weight, NODE, back) == 0
        assert node.weight == weight


@pytest.mark.parametrize("command", [steer.enable, lambda args: steer.weight([*args, "3"])])
async def test_what_can_not_be_done_is_1(
    command: Command, router: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(command, NODE) == 1
    assert f": there is no node {NODE}\n" in capsys.readouterr().err


async def test_without_a_router_it_is_1(
    lab: Lab, control: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(steer.drain, NODE) == 1
    advice = "start the router with control-socket = PATH, and name it here with --control PATH"
    expected = f"uwsgi-router drain: {control}: there is no such socket: {advice}\n"
    assert capsys.readouterr().err == expected
    assert await run(steer.drain, NODE, "--control", lab.refused_unix()) == 1
    assert "no router listens there" in capsys.readouterr().err


async def test_a_path_that_is_given_comes_first(
    router: Router, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.announce(NODE)
    monkeypatch.setenv("UWSGI_ROUTER_CONTROL", "/nonexistent")
    assert await run(steer.drain, NODE, "--control", control) == 0


async def test_a_router_that_ends_is_1(
    router: Router, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    node = router.announce(NODE)
    node.reference += 1
    task = asyncio.get_running_loop().create_task(run(steer.drain, NODE))
    await lab.log.line("is drained by")
    await router.stop()
    assert await task == 1
    assert "the router ended the connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (steer.drain, []),
        (steer.drain, [NODE, "--timeout", "soon"]),
        (steer.drain, [NODE, "--timeout", "-1"]),
        (steer.drain, [NODE, "--timeout", "nan"]),
        (steer.drain, [NODE, "other"]),
        (steer.enable, []),
        (steer.weight, [NODE]),
        (steer.weight, [NODE, "-1"]),
        (steer.weight, [NODE, "1.5"]),
        (steer.weight, [NODE, "1000001"]),
        (steer.weight, [NODE, "heavy"]),
    ],
)
def test_wrong_use_is_2(command: Command, args: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command(args)
    assert stop.value.code == 2
