"""Routers for jails of the Python API, running on the event loop of a program."""

import asyncio
import socket
import warnings
from pathlib import Path

import pytest
from uwsgiconf.config import Section

from tests.lab.namespaces import need_namespaces
from tests.router.config.configuring import Files
from uwsgi_router.router.api import ParameterError, RouterForkPty, RouterTunTap, StartError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def said_by(path: Path) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, str(path))
        said = b""
        while data := await loop.sock_recv(sock, 65_536):
            said += data
    return said


async def test_terminals_run_in_a_program_and_again(tmp_path: Path) -> None:
    path = tmp_path / "pty.sock"
    router = RouterForkPty(str(path)).set_basic_params(
        run_command="echo he''llo", stats_server=str(tmp_path / "stats.sock")
    )
    for _ in range(2):
        async with router:
            assert await said_by(path) == b"hello\r\n"
            assert b'"sessions":1' in await said_by(tmp_path / "stats.sock")
            with pytest.raises(RuntimeError, match="the router runs already"):
                await router.start()
        assert not path.exists()
    await router.stop()


async def test_a_shared_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "shared.sock"
    router = RouterForkPty("=0").set_basic_params(run_command="echo he''llo")
    async with router.set_option("shared-socket", str(path)):
        assert await said_by(path) == b"hello\r\n"
    assert not path.exists()


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    router = RouterForkPty([str(tmp_path / "one.sock"), str(tmp_path / "no" / "two.sock")])
    with pytest.raises(StartError, match="its directory does not exist"):
        await router.start()
    assert not (tmp_path / "one.sock").exists()


def test_the_ini_file_means_the_same(files: Files) -> None:
    pty = RouterForkPty("/run/pty.sock", undeferred=True).set_window_params(cols=100, rows=50)
    pty.set_option("forkptyrouter-allow-uid", "root")
    assert files.load(pty.as_ini().partition("\n")[2]).forkpty == pty.configuration.forkpty
    tun = (
        RouterTunTap("/run/a.sock", device="emp0", stats_server="/run/s.sock", gateway="10.0.0.1:5")
        .register_route("0.0.0.0", "10.78.0.0/24", gateway="192.0.2.1:4040")
        .add_firewall_rule(direction="OUT", action="allow", src="10.77.0.0/24", dst="10.77.0.1")
        .add_firewall_rule(direction="out", action="deny")
        .device_connect("/run/b.sock", device_name="uwsgi0")
        .device_add_rule(direction="in", action="deny", src="0.0.0.0", dst="10.0.0.0/8")
        .set_basic_params(use_credentials=True)
    )
    loaded = files.load(tun.as_ini().partition("\n")[2]).tuntap
    assert loaded == tun.configuration.tuntap
    assert len(loaded.firewall_out) == 2


def test_uwsgiconfs_ini_is_read(files: Files) -> None:
    routers = Section.routing.routers
    tun = routers.tuntap("/run/a.sock", device="emp0", stats_server="/run/s.sock")
    tun.add_firewall_rule(direction="in", action="allow", src="10.0.0.1", dst="10.0.0.0/8")
    section = Section()
    section.routing.use_router(tun)
    section.routing.use_router(routers.forkpty("/run/pty.sock"))
    text = section.as_configuration().print_ini().partition("\n")[2]
    lines = [line for line in text.splitlines() if line.startswith(("tuntap", "forkpty"))]
    configuration = files.load("\n".join(lines))
    assert configuration.forkpty.listen == ("/run/pty.sock",)
    assert configuration.tuntap.routers[0].stats == "/run/s.sock"
    assert len(configuration.tuntap.firewall_in) == 1


def test_wrong_parameters_say_what_was_expected() -> None:
    with pytest.raises(ParameterError, match=r"RouterTunTap.add_firewall_rule\(direction='drop'\)"):
        RouterTunTap("/run/a.sock").add_firewall_rule(direction="in", action="drop")
    with pytest.raises(ParameterError, match="expected a stats_server, too"):
        RouterTunTap("/run/a.sock", gateway="10.0.0.1:1")
    with pytest.raises(ParameterError, match="would get a terminal"):
        _ = RouterForkPty("127.0.0.1:5000").configuration
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        RouterForkPty("/run/a.sock").set_basic_params(workers=4)
    (warning,) = caught
    assert "(workers=4): forkptyrouter-workers: not yet: one process" in str(warning.message)


async def test_a_network_runs_in_a_program(tmp_path: Path) -> None:
    need_namespaces()
    router = RouterTunTap(str(tmp_path / "tun.sock"), device="uwrapi%d").device_connect(
        str(tmp_path / "tun.sock"), device_name="uwrdev%d"
    )
    router.set_basic_params(stats_server=str(tmp_path / "stats.sock"))
    async with router:
        assert b'"device":"uwrapi' in await said_by(tmp_path / "stats.sock")
