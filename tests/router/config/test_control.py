"""The options of the control socket."""

import pytest

from tests.router.config.configuring import ConfigurationError, load
from uwsgi_router.router.config.model import Configuration

ROUTER = ["--fastrouter", "127.0.0.1:3031", "--fastrouter-subscription-server", "127.0.0.1:3032"]


def loaded(*more: str) -> Configuration:
    return load([*ROUTER, *more], {})


def test_the_socket_its_mode_and_its_owner() -> None:
    process = loaded().process
    assert process.control_socket is None
    process = loaded("--control-socket", "/run/c.sock").process
    assert (process.control_socket, process.chmod_control_socket) == ("/run/c.sock", 0o600)
    options = ("--chmod-control-socket", "660", "--chown-control-socket", "root:adm")
    configuration = loaded("--control-socket", "/run/c.sock", *options)
    process = configuration.process
    assert (process.chmod_control_socket, process.chown_control_socket) == (0o660, "root:adm")
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    "path", [":3033", "127.0.0.1:3033", "@name", "=0", "fd://3", "", "/" + "x" * 200]
)
def test_where_no_file_says_who_may_connect_there_is_none(path: str) -> None:
    with pytest.raises(ConfigurationError, match="control-socket"):
        loaded(f"--control-socket={path}")


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (["--chmod-control-socket", "660"], "without control-socket has no effect"),
        (["--chown-control-socket", "root"], "without control-socket has no effect"),
        (
            ["--control-socket", "/c", "--chmod-control-socket", "666"],
            "every user of this machine may drain",
        ),
    ],
)
def test_what_is_odd(options: list[str], warning: str) -> None:
    (line,) = loaded(*options).warnings
    assert warning in line


def test_without_nodes_that_can_be_listed_there_is_nothing_to_steer() -> None:
    argv = ["--fastrouter", "127.0.0.1:3031", "--control-socket", "/c"]
    (line,) = load([*argv, "--fastrouter-use-base", "/run/"], {}).warnings
    assert "there are no nodes to see or to steer" in line
    assert load([*argv, "--fastrouter-to", ":1"], {}).warnings == ()


def test_the_variable_for_commands_is_no_option_of_routers() -> None:
    assert load(ROUTER, {"UWSGI_ROUTER_CONTROL": "/c"}).warnings == ()
