"""The fastrouter examples of uWSGI's own manual, as option lines, start unchanged where no application is in them."""

import shlex

import pytest

from tests.router.config.configuring import Files, command_line, load
from uwsgi_router.router.config.model import RouterConfig

USUAL = """
master = true
processes = 4
enable-threads = true
vacuum = true
logto = /var/log/uwsgi/%n.log
plugins = fastrouter,python
log-format = %(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(size)
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "--fastrouter 127.0.0.1:3017 --fastrouter /tmp/uwsgi.sock --fastrouter @foobar",
            RouterConfig(listen=("127.0.0.1:3017", "/tmp/uwsgi.sock", "@foobar")),
        ),
        (
            "--fastrouter 127.0.0.1:3017 --fastrouter-use-base /tmp/sockets/",
            RouterConfig(listen=("127.0.0.1:3017",), use_base="/tmp/sockets/"),
        ),
        (
            "--fastrouter 127.0.0.1:3017 --fastrouter-use-pattern /tmp/sockets/%s/uwsgi.sock",
            RouterConfig(listen=("127.0.0.1:3017",), use_pattern="/tmp/sockets/%s/uwsgi.sock"),
        ),
        (
            "--fastrouter 127.0.0.1:3017 --fastrouter-use-base /tmp/sockets/%s/uwsgi.sock",
            RouterConfig(listen=("127.0.0.1:3017",), use_base="/tmp/sockets/%s/uwsgi.sock"),
        ),
        (
            "--fastrouter :3017 --fastrouter-subscription-server 192.168.0.100:7000 --fastrouter-subscription-slot 80",
            RouterConfig(listen=(":3017",), subscription_servers=("192.168.0.100:7000",)),
        ),
        (
            "--fastrouter :1717 --fastrouter-subscription-server 192.168.0.100:2626",
            RouterConfig(listen=(":1717",), subscription_servers=("192.168.0.100:2626",)),
        ),
    ],
)
def test_command_lines(command: str, expected: RouterConfig) -> None:
    assert command_line(*shlex.split(command)).routers == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            """
            ;create a shared socket (the webserver will connect to it)
            shared-socket = 127.0.0.1:3031
            ; bind the fastrouter to the shared socket
            fastrouter = =0
            socket = =0
            fastrouter-subscription-server = 192.168.0.100:4040
            fastrouter-cheap = true
            """,
            RouterConfig(listen=("=0",), subscription_servers=("192.168.0.100:4040",), cheap=True),
        ),
        (
            """
            fastrouter = :3031
            fastrouter-subscription-server = 127.0.0.1:4041
            ; the emperor socket to contact
            fastrouter-emperor-socket = /tmp/emperor.socket
            fastrouter-stats-server = 127.0.0.1:4040
            """,
            RouterConfig(
                listen=(":3031",),
                subscription_servers=("127.0.0.1:4041",),
                stats=("127.0.0.1:4040",),
            ),
        ),
        (
            """
            fastrouter = 192.168.0.1:3031
            fastrouter-subscription-server = 127.0.0.1:5000
            fastrouter-resubscribe = 192.168.0.2:5000
            """,
            RouterConfig(listen=("192.168.0.1:3031",), subscription_servers=("127.0.0.1:5000",)),
        ),
        (
            """
            fastrouter = :80
            fastrouter = :443
            fastrouter-subscription-server = :51823
            """,
            RouterConfig(listen=(":80", ":443"), subscription_servers=(":51823",)),
        ),
    ],
)
def test_files_among_the_usual_options(text: str, expected: RouterConfig, files: Files) -> None:
    configuration = files.load(USUAL + text)
    assert configuration.routers == (expected,)
    assert configuration.process.logto == "/var/log/uwsgi/router.log"


def test_a_section_of_ones_own(files: Files) -> None:
    path = files.write(
        """
[fastrouter]
plugins = fastrouter
master = true
shared-socket = 127.0.0.1:23080
fastrouter-subscription-server = 127.0.0.1:23081
fastrouter = =0
vacuum = true
stats = /tmp/fastrouter.sock
log-format = %(addr) [%(ltime)] "%(method) %(uri)" %(status) %(size) %(micros)

[app]
socket = 127.0.0.1:23082
module = wsgi
"""
    )
    configuration = load([f"{path}:fastrouter"], {})
    assert configuration.routers[0].subscription_servers == ("127.0.0.1:23081",)
    assert len(configuration.warnings) == 1  # stats


def test_an_example_that_runs_an_application_beside_the_router_is_refused(files: Files) -> None:
    (error,) = files.errors(
        "fastrouter = :1\nsocket = :2\nwsgi-file = /var/www/myheavyapp.wsgi\nprocesses = 4"
    )
    assert error.startswith("router.ini:4: wsgi-file: uwsgi-router runs no application")
