"""Options of the routers for jails: what is refused, and what is odd."""

import codecs
import os

import pytest

from tests.router.config.configuring import Files, command_line
from uwsgi_router.router.app.prepare.addresses import devices
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.config.tuntap_values import (
    FirewallRule,
    TunDeviceConfig,
    TunRouterConfig,
)

PTY = "forkptyrouter = /run/pty.sock\n"


def test_a_forkpty_router_alone_is_a_configuration() -> None:
    configuration = command_line(
        "--forkpty-router=/run/a.sock",
        "--forkpty-urouter=/run/b.sock",
        "--forkpty-router-cmd=/bin/bash",
    )
    assert configuration.routers == ()
    assert configuration.forkpty.listen == ("/run/a.sock",)
    assert configuration.forkpty.listen_packets == ("/run/b.sock",)
    assert configuration.forkpty.command == "/bin/bash"


def test_tuntap_routers_and_devices_are_a_configuration() -> None:
    tuntap = command_line(
        "--tuntap-router=emp0 /run/a.sock",
        "--tuntap-router='emp1'\t/run/b.sock 127.0.0.1:1 10.0.0.1:4040",
        "--tuntap-device=uwsgi0",
        "--tuntap-use-credentials",
        "--tuntap-router-firewall-in=deny",
    ).tuntap
    assert tuntap.routers == (
        TunRouterConfig("emp0", "/run/a.sock"),
        TunRouterConfig("emp1", "/run/b.sock", "127.0.0.1:1", ("10.0.0.1", 4040)),
    )
    assert tuntap.devices == (TunDeviceConfig("uwsgi0"),)
    assert tuntap.firewall_in == (FirewallRule(allow=False, src=None, dst=None),)
    assert tuntap.use_credentials


@pytest.mark.parametrize("option", ["rows", "cols"])
def test_zero_rows_or_columns_are_the_default(files: Files, option: str) -> None:
    config = files.load(f"{PTY}forkptyrouter-{option} = 0").forkpty
    assert (config.rows, config.cols) == (24, 80)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "forkptyrouter = 127.0.0.1:3000",
            (
                "forkptyrouter = 127.0.0.1:3000: everybody who reaches a TCP port would get a terminal: give the path"
                " of a UNIX socket, or forkptyrouter-allow-tcp = true"
            ),
        ),
        (
            "forkptyurouter = :3000",
            (
                "forkptyurouter = :3000: everybody who reaches a TCP port would get a terminal: give the path of a UNIX"
                " socket, or forkptyrouter-allow-tcp = true"
            ),
        ),
        (
            "tuntap-router = emp0",
            "tuntap-router: expected DEVICE SOCKET [STATS] [GATEWAY], got 'emp0'",
        ),
        (
            "tuntap-router = emp0 127.0.0.1:5000",
            "tuntap-router: expected the path of a UNIX socket, not 127.0.0.1:5000, got 'emp0 127.0.0.1:5000'",
        ),
        (
            "tuntap-router = adevicewithalongname /run/a.sock",
            (
                "tuntap-router: expected a device of 1 to 15 bytes, not adevicewithalongname, got"
                " 'adevicewithalongname /run/a.sock'"
            ),
        ),
        (
            "tuntap-router = emp0 /run/a.sock\ntuntap-router-firewall-out = drop",
            (
                "tuntap-router-firewall-out: expected allow or deny, alone or with SRC[/LEN] DST[/LEN], got 'drop'"
            ),
        ),
        (
            "tuntap-router = emp0 /run/a.sock\ntuntap-use-credentials = my_function",
            (
                "tuntap-use-credentials: expected true, false or nothing: no function my_function can be had that gives"
                " addresses to users, got 'my_function'"
            ),
        ),
        (
            "tuntap-router = emp0 /run/a.sock\ntuntap-device = emp0",
            "tuntap-router and tuntap-device: the device emp0 is given twice",
        ),
        (
            "tuntap-router = e0 /run/a.sock\ntuntap-router = e1 /run/b.sock\ntuntap-router-stats = :1",
            (
                "tuntap-router-stats = :1: two routers would listen there; give each its own behind its socket"
            ),
        ),
        (
            "tuntap-device = e0 /run/a.sock\n"
            + "tuntap-device-rule = in 0.0.0.0 0.0.0.0 deny\n" * 65,
            "tuntap-device-rule: 65 rules, where 64 may be",
        ),
        ("forkptyrouter = =0", "forkptyrouter = =0 (counted from 0), but no shared-socket lines"),
        (
            "pty-socket = /run/a.sock",
            (
                "pty-socket: uwsgi-router runs no application. Leave these to a uWSGI of the application's own, which"
                " announces itself here (subscribe-to = SUBSCRIPTION-SERVER:KEY) or is named by fastrouter-to or"
                " http-to"
            ),
        ),
    ],
)
def test_refused(files: Files, text: str, error: str) -> None:
    assert error in files.wrong(text)


def test_a_user_that_does_not_exist_is_refused(files: Files) -> None:
    report = prepare(files.examine(f"{PTY}forkptyrouter-allow-uid = nosuchuser"))
    assert "forkptyrouter-allow-uid = nosuchuser: no such user" in [
        problem.message for problem in report.problems
    ]


def test_everybody_whom_the_kernel_cant_name_is_no_user(files: Files) -> None:
    report = prepare(files.examine(f"{PTY}forkptyrouter-allow-uid = 65534"))
    (problem,) = report.problems
    assert problem.message.startswith("forkptyrouter-allow-uid: 65534 is what the kernel calls")


def test_an_address_that_is_given_twice_is_refused(files: Files) -> None:
    report = prepare(files.examine(f"{PTY}forkptyrouter-stats = /run/pty.sock"))
    assert (
        "forkptyrouter-stats = /run/pty.sock: forkptyrouter = /run/pty.sock listens there already"
        in [problem.message for problem in report.problems]
    )


def test_tun_devices_need_rights() -> None:
    configuration = command_line("--tuntap-router=emp0 /run/tun.sock", "--tuntap-device=uw0")
    was = os.geteuid()
    if was == 0:
        assert devices(configuration) == []
        # Loaded while we may read where Python lies.
        codecs.lookup("ascii")
        os.seteuid(12_345)
    try:
        found = devices(configuration)
    finally:
        os.seteuid(was)
    assert found == [
        "tuntap-router: the TUN device emp0 needs root, or the capability CAP_NET_ADMIN",
        "tuntap-device: the TUN device uw0 needs root, or the capability CAP_NET_ADMIN",
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            f"{PTY}forkptyrouter-workers = 4",
            "forkptyrouter-workers: not yet: one process serves everything",
        ),
        (
            "tuntap-router = e0 /run/a.sock\ntuntap-router-route = 0.0.0.0 10.0.0.0/8 10.0.0.1:1",
            "tuntap-router-route has no effect: no tuntap-router has a gateway",
        ),
        (
            "tuntap-device = e0 /run/a.sock\ntuntap-router-allow-spoof = true",
            "tuntap-router-allow-spoof without tuntap-router has no effect",
        ),
        (
            "http = :1\nhttp-to = :2\nforkptyrouter-command = /bin/bash",
            "forkptyrouter-command without forkptyrouter or forkptyurouter has no effect",
        ),
        (
            "forkptyrouter = :3000\nforkptyrouter-allow-tcp = true",
            (
                "forkptyrouter = :3000: every machine that reaches it gets a terminal: listen on 127.0.0.1:3000, or a"
                " UNIX socket"
            ),
        ),
    ],
)
def test_odd(files: Files, text: str, warning: str) -> None:
    assert warning in files.odd(text)


def test_what_asks_for_nothing_here_is_silent(files: Files) -> None:
    text = (
        f"{PTY}forkptyrouter-cheap = true\nforkptyrouter-fallback = :1\nforkptyrouter-events = 8\n"
    )
    assert files.odd(f"{text}pty-no-isig = true") == []
