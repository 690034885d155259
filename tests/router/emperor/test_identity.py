"""Owners that no vassal may have; what the Emperor needs."""

import os
from typing import Any

import pytest

from uwsgi_router.router.config.capability_values import CAPABILITIES
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.emperor.identity import (
    check_emperor,
    effective_capabilities,
    tyrant_fault,
)
from uwsgi_router.router.emperor.vassal_file import VassalFile


@pytest.mark.parametrize(
    ("uid", "gid", "fault"),
    [(1, 1, None), (0, 1, "user root"), (1, 0, "group root"), (0, 0, "user root")],
)
def test_root_is_no_owner(uid: int, gid: int, fault: str | None) -> None:
    found = tyrant_fault(VassalFile("a.ini", "/v", "/v/a.ini", 0.0, uid, gid, "/v"))
    if fault is None:
        assert found is None
    else:
        expected = "[emperor-tyrant] invalid permissions for vassal a.ini: its file belongs to "
        assert found == expected + fault


@pytest.mark.parametrize(
    ("config", "has", "option"),
    [
        ({"tyrant": True}, (), "emperor-tyrant needs root, or CAP_SETUID"),
        ({"tyrant": True}, ("setuid",), "emperor-tyrant needs root, or CAP_SETGID"),
        ({"tyrant": True}, ("setuid", "setgid"), None),
        ({"capabilities": ("chown",)}, (), "emperor-cap needs root, or CAP_SETPCAP"),
        ({"use_clone": ("net",)}, (), "emperor-use-clone needs root, or CAP_SYS_ADMIN"),
        ({"use_clone": ("net", "user")}, (), None),
        ({}, (), None),
    ],
)
def test_rights_that_are_missing_are_named_at_the_start(
    config: dict[str, Any], has: tuple[str, ...], option: str | None
) -> None:
    if option is None:
        check_emperor(EmperorConfig(**config), frozenset(has))
        return
    with pytest.raises(StartError, match=option):
        check_emperor(EmperorConfig(**config), frozenset(has))


def test_capabilities_of_this_process() -> None:
    found = effective_capabilities()
    assert found <= set(CAPABILITIES)
    assert ("setuid" in found) == (os.geteuid() == 0)
