"""Sockets of an instance for the vassals of its Emperor: which routers get one, who may use them, what is left."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from uwsgi_router.router.app.vassal_sockets import (
    VARIABLE,
    VassalSockets,
    emperors_socket,
    make_vassal_sockets,
    on_demand_directory,
    remove_vassal_sockets,
    with_vassal_sockets,
)
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a path that is short enough for sockets: otherwise it would be /run."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


EMPEROR = EmperorConfig(places=("/etc/vassals",))


def made(tmp_path: Path, *routers: RouterConfig, **config: object) -> dict[str, str]:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), VARIABLE: "/outer/control:/outer/announce"}
    configuration = Configuration(routers=routers, emperor=EMPEROR, **config)  # type: ignore[arg-type]
    make_vassal_sockets(configuration, environ, 42)
    return environ


def test_routers_that_know_no_node_share_one_and_others_are_left_alone(tmp_path: Path) -> None:
    http, fast = HttpRouterConfig(listen=(":80",)), RouterConfig(listen=(":3031",))
    pinned = HttpRouterConfig(listen=(":81",), to=("/app.sock",))
    environ = made(tmp_path, http, fast, pinned)
    sockets = VassalSockets.read(environ)
    assert sockets is not None
    assert sockets.control == f"{sockets.directory}/control"
    assert os.stat(sockets.directory).st_mode & 0o777 == 0o711
    full = with_vassal_sockets(
        Configuration(routers=(http, fast, pinned), emperor=EMPEROR), environ
    )
    servers = [one.subscription_servers for one in full.routers]
    assert servers == [sockets.announce, sockets.announce, ()]
    assert full.process.control_socket == sockets.control
    assert full.routers[0].hold == 0
    remove_vassal_sockets(environ, 41)
    assert os.path.exists(sockets.directory)
    remove_vassal_sockets(environ, 42)
    assert not os.path.exists(sockets.directory)


def test_each_table_has_its_own(tmp_path: Path) -> None:
    routers = tuple(
        RouterConfig(listen=(f":{port}",), subscription_servers=servers)
        for port, servers in enumerate((("a:1",), ("b:1",), ("b:1", "c:1"), ("c:1",), ()))
    )
    environ = made(tmp_path, *routers)
    sockets = VassalSockets.read(environ)
    assert sockets is not None
    assert len(sockets.announce) == 3
    full = with_vassal_sockets(Configuration(routers=routers, emperor=EMPEROR), environ)
    tables = [one.subscription_servers[-1] for one in full.routers]
    assert tables[1] == tables[2] == tables[3]
    assert len(set(tables)) == 3
    assert full.routers[1].subscription_servers[0] == "b:1"


def test_a_control_socket_of_the_configuration_is_used_if_vassals_may_connect(
    tmp_path: Path,
) -> None:
    http = HttpRouterConfig(listen=(":80",))
    path = str(tmp_path / "own")
    sockets = VassalSockets.read(made(tmp_path, http, process=ProcessConfig(control_socket=path)))
    assert sockets is not None
    assert sockets.control == path
    if os.geteuid() == 0:
        process = ProcessConfig(control_socket=path, uid="65534")
        sockets = VassalSockets.read(made(tmp_path, http, process=process))
        assert sockets is not None
        assert sockets.control is None
        assert os.stat(sockets.directory).st_uid == 65534


def test_without_an_emperor_nothing_is_handed_on_and_without_routers_what_was_given(
    tmp_path: Path,
) -> None:
    outer = "/outer/control:/outer/announce"
    assert made(tmp_path)[VARIABLE] == outer
    environ = {VARIABLE: outer}
    make_vassal_sockets(Configuration(), environ, 42)
    assert environ == {}
    assert VassalSockets.read(environ) is None
    plain = Configuration(routers=(HttpRouterConfig(),))
    assert with_vassal_sockets(plain, {VARIABLE: outer}) is plain


def test_who_may_not_steer_all_nodes_gets_no_control_socket(tmp_path: Path) -> None:
    sockets = VassalSockets("/control", (str(tmp_path / "announce"),))
    owner = os.stat(tmp_path).st_uid
    assert sockets.as_seen_by(owner).control == "/control"
    assert sockets.as_seen_by(owner + 1).control is None
    assert sockets.as_seen_by(0).control == "/control"
    assert VassalSockets.read({VARIABLE: str(sockets)}) == sockets
    assert VassalSockets.read({VARIABLE: str(replace(sockets, control=None))}) == replace(
        sockets, control=None
    )


@pytest.mark.parametrize("option", ["on_demand_extension", "on_demand_directory", "on_demand_exec"])
def test_routers_hold_requests_where_vassals_sleep(tmp_path: Path, option: str) -> None:
    routers = (HttpRouterConfig(listen=(":80",)), HttpRouterConfig(listen=(":81",), hold=5))
    environ = made(tmp_path, *routers)
    emperor = replace(EMPEROR, **{option: "x"})  # type: ignore[arg-type]
    full = with_vassal_sockets(Configuration(routers=routers, emperor=emperor), environ)
    assert [one.hold for one in full.routers] == [30, 5]
    sockets = VassalSockets.read(environ)
    assert sockets is not None
    assert on_demand_directory(full, environ) == sockets.directory
    assert emperors_socket(full, environ) == f"{sockets.directory}/emperor"
    assert on_demand_directory(Configuration(routers=routers, emperor=EMPEROR), environ) is None
