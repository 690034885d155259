"""``subscription-check`` and ``subscription-max-fails``: how they are written, and what is refused."""

import pytest

from tests.router.config.configuring import ConfigurationError, Files
from uwsgi_router.router.config.health_checks import Checks

UDP = "fastrouter = 127.0.0.1:3031\nfastrouter-subscription-server = 127.0.0.1:3032\n"


def checks(files: Files, text: str) -> Checks | None:
    return files.load(f"{UDP}subscription-check = {text}").subscription.check


def test_nobody_is_checked_unless_asked_for(files: Files) -> None:
    config = files.load(UDP).subscription
    assert config.check is None
    assert config.max_fails == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ping", Checks(ping=True)),
        ("/health", Checks(path="/health")),
        ("path=/a?b=c", Checks(path="/a?b=c")),
        ("ping,/health", Checks(ping=True, path="/health")),
        (
            "ping, path=/up,status=200-299|401,host=up.internal:80,interval=2.5,rise=1,fall=4,timeout=0.5,first=check",
            Checks(
                ping=True,
                path="/up",
                statuses=((200, 299), (401, 401)),
                host="up.internal:80",
                interval=2.5,
                rise=1,
                fall=4,
                timeout=0.5,
                first=True,
            ),
        ),
    ],
)
def test_how_a_check_is_written(files: Files, text: str, expected: Checks) -> None:
    assert checks(files, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval=5", "expected ping (uwsgi nodes), /PATH (HTTP nodes) or both"),
        ("ping,often", "not 'often'"),
        ("ping,intervall=5", "not 'intervall=5'"),
        ("ping,ping", "expected ping only once"),
        ("/a,path=/b", "expected path only once"),
        ("path=health", "begins with / for path"),
        ("/he alth", "begins with / for path"),
        ("/health,host=a b", "expected a host name for host"),
        ("ping,status=200", "expected a path with status"),
        ("ping,host=a", "expected a path with host"),
        ("/,status=100", "expected statuses from 200 to 599"),
        ("/,status=300-200", "expected statuses from 200 to 599"),
        ("/,status=200||300", "expected statuses from 200 to 599"),
        ("ping,interval=0", "expected a number of seconds above 0 for interval"),
        ("ping,timeout=x", "for timeout"),
        ("ping,rise=0", "expected a whole number from 1 to 1000 for rise"),
        ("ping,fall=-1", "for fall"),
        ("ping,first=serve", "expected first=check"),
    ],
)
def test_what_can_be_no_check_says_what_was_expected(
    files: Files, text: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        checks(files, text)
    assert expected in str(raised.value)


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("3", 3)])
def test_how_many_failures_let_a_node_rest(files: Files, text: str, expected: int) -> None:
    config = files.load(f"{UDP}subscription-max-fails = {text}").subscription
    assert config.max_fails == expected


def test_a_check_without_a_subscription_server_is_pointed_out(files: Files) -> None:
    config = files.load("fastrouter = 127.0.0.1:3031\nsubscription-check = ping\n")
    assert any("subscription-check has no effect" in line for line in config.warnings)
