"""Environment, umask and directory."""

import os
from pathlib import Path

import pytest

from uwsgi_router.router.app.process import environment
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import (
    Configuration,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)


def test_environment_umask_and_directory_are_taken_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROUTER_TEST", "before")
    monkeypatch.chdir("/")
    umask = os.umask(0o022)
    try:
        environment.apply(
            ProcessConfig(env={"ROUTER_TEST": "after"}, umask=0o027, chdir=str(tmp_path))
        )
        assert os.environ["ROUTER_TEST"] == "after"
        assert os.umask(0) == 0o027
        assert Path.cwd() == tmp_path
    finally:
        os.umask(umask)


@pytest.mark.parametrize(("given", "then"), [(0o022, 0o027), (0o000, 0o027), (0o077, 0o077)])
def test_others_get_no_rights_on_files_unless_the_umask_is_given(given: int, then: int) -> None:
    umask = os.umask(given)
    try:
        environment.restrict_new_files(ProcessConfig(umask=given))
        assert os.umask(given) == given
        environment.restrict_new_files(ProcessConfig())
        assert os.umask(given) == then
    finally:
        os.umask(umask)


def test_without_options_everything_stays() -> None:
    before = os.getcwd()
    umask = os.umask(0o021)
    try:
        environment.apply(ProcessConfig())
        assert os.umask(umask) == 0o021
    finally:
        os.umask(umask)
    assert os.getcwd() == before


def test_a_directory_that_cannot_be_entered_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"chdir = {tmp_path}/x: No such file or directory"):
        environment.apply(ProcessConfig(chdir=f"{tmp_path}/x"))


FASTROUTER = RouterConfig(listen=(":1",), subscription_servers=(":2",))


@pytest.mark.parametrize(
    ("router", "state", "directory", "kept"),
    [
        (FASTROUTER, None, "/var/lib/r", "/var/lib/r/nodes"),
        (FASTROUTER, None, "/var/lib/r:/var/lib/s", "/var/lib/r/nodes"),
        (FASTROUTER, "/elsewhere", "/var/lib/r", "/elsewhere"),
        (FASTROUTER, None, "", None),
        (FASTROUTER, None, "relative", None),
        (RouterConfig(listen=(":1",)), None, "/var/lib/r", None),
    ],
)
def test_the_table_is_kept_where_systemd_says_unless_the_configuration_does(
    router: RouterConfig, state: str | None, directory: str, kept: str | None
) -> None:
    given = Configuration(subscription=SubscriptionConfig(state=state), routers=(router,))
    environ = {"STATE_DIRECTORY": directory} if directory else {}
    assert environment.with_state_file(given, environ).subscription.state == kept
