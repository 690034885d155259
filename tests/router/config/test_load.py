"""From settings to the typed configuration: values, classes, messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.config.configuring import Files, command_line
from uwsgi_router.router.config.lines import ConfigurationError
from uwsgi_router.router.config.load import load
from uwsgi_router.router.config.model import (
    CodeString,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.config.table import SPELLED_OUT


def test_every_field_of_a_router_can_be_set(files: Files) -> None:
    router = files.router(
        """
        fastrouter-subscription-server = 127.0.0.1:7000
        fastrouter-use-pattern = /run/%%s.sock
        fastrouter-use-base = /run/
        fastrouter-use-code-string = 0:mapper.py:choose
        fastrouter-code-limit = 0.2
        fastrouter-code-timeout = 3
        fastrouter-code-reload = true
        fastrouter-use-socket = 1
        fastrouter-to = 127.0.0.1:1
        fastrouter-to = node:2
        fastrouter-fallback = [::1]:3
        fastrouter-fallback-on-no-key = true
        fastrouter-subscription-fallback-key = default
        fastrouter-force-key = fixed
        fastrouter-cheap
        fastrouter-quiet = true
        fastrouter-gracetime = 4
        fastrouter-max-retries = 5
        fastrouter-buffer-size = 6000
        fastrouter-timeout = 7
        fastrouter-connect-timeout = 0.5
        fastrouter-post-buffering = 8
        fastrouter-post-buffering-dir = /var/tmp
        fastrouter-stats = 127.0.0.1:9
        fastrouter-errors = http
        fastrouter-hold = 10
        fastrouter-hold-max = 11
        fastrouter-hold-max-bytes = 12
        fastrouter-keep-modifiers = true
        fastrouter-abort-on-eof = true
        fastrouter-backend-http = true
        fastrouter-backend-connections = 13
        fastrouter-backend-keepalive = 14
        fastrouter-backend-queue = 15
        fastrouter-backend-queue-timeout = 16
        fastrouter-uid = www-data
        fastrouter-gid = 33
        """
    )
    assert router == RouterConfig(
        listen=("127.0.0.1:3031",),
        subscription_servers=("127.0.0.1:7000",),
        use_pattern="/run/%s.sock",
        use_base="/run/",
        use_code_string=CodeString("mapper.py", "choose"),
        code_limit=0.2,
        code_timeout=3.0,
        code_reload=True,
        use_socket="1",
        to=("127.0.0.1:1", "node:2"),
        fallback=("[::1]:3",),
        fallback_on_no_key=True,
        subscription_fallback_key="default",
        force_key="fixed",
        cheap=True,
        quiet=True,
        gracetime=4.0,
        max_retries=5,
        buffer_size=6000,
        timeout=7.0,
        connect_timeout=0.5,
        post_buffering=8,
        post_buffering_dir="/var/tmp",
        stats=("127.0.0.1:9",),
        errors="http",
        hold=10.0,
        hold_max=11,
        hold_max_bytes=12,
        keep_modifiers=True,
        abort_on_eof=True,
        backend_http=True,
        backend_connections=13,
        backend_keepalive=14.0,
        backend_queue=15,
        backend_queue_timeout=16.0,
        uid="www-data",
        gid="33",
    )


def test_every_field_of_the_process_can_be_set(files: Files) -> None:
    configuration = files.load(
        """
        fastrouter = :1
        listen = 1024
        no-defer-accept = true
        reuse-port = true
        freebind = true
        so-keepalive = true
        socket-sndbuf = 1
        socket-rcvbuf = 2
        chmod-socket = 664
        chown-socket = www-data:www-data
        uid = www-data
        gid = 33
        add-gid = 5
        pidfile = /run/r.pid
        safe-pidfile = /run/s.pid
        logto = /var/log/r.log
        log-date = false
        umask = 022
        chdir = /srv
        procname = router
        procname-prefix-spaced = site
        reload-mercy = 3
        shared-socket = 127.0.0.1:2
        socket = 127.0.0.1:3
        stats-http = true
        stats-min = true
        env = A=1
        env = B=x=y
        event-loop = asyncio
        """
    )
    assert configuration.process == ProcessConfig(
        listen=1024,
        defer_accept=False,
        reuse_port=True,
        freebind=True,
        so_keepalive=True,
        so_sndbuf=1,
        so_rcvbuf=2,
        chmod_socket=0o664,
        chown_socket="www-data:www-data",
        uid="www-data",
        gid="33",
        additional_gids=("5",),
        pidfile="/run/r.pid",
        safe_pidfile="/run/s.pid",
        logto="/var/log/r.log",
        log_date=False,
        umask=0o022,
        chdir="/srv",
        procname="router",
        procname_prefix="site ",
        reload_mercy=3.0,
        shared_sockets=("127.0.0.1:2",),
        worker_sockets=("127.0.0.1:3",),
        stats_http=True,
        stats_minified=True,
        env={"A": "1", "B": "x=y"},
        event_loop="asyncio",
    )


def test_every_field_of_the_table_of_nodes_can_be_set(files: Files) -> None:
    configuration = files.load(
        """
        fastrouter = :1
        subscription-tolerance = 31
        subscription-algo = wlrc
        subscription-dotsplit = true
        subscription-mountpoint = 1
        subscription-max-keys = 2
        subscription-max-nodes = 3
        """
    )
    assert configuration.subscription == SubscriptionConfig(31.0, "wlrc", True, 1, 2, 3)


@pytest.mark.parametrize(
    ("part", "prefix", "without"),
    [
        (ProcessConfig, "process", set()),
        (SubscriptionConfig, "subscription", set()),
        (RouterConfig, "fastrouter", {"kind"}),
        # The Host field is the key, and clients have no modifiers.
        (HttpRouterConfig, "http", {"kind", "force_key", "keep_modifiers"}),
    ],
)
def test_no_field_is_out_of_reach(part: Any, prefix: str, without: set[str]) -> None:
    reached = {o.target.partition(".")[2] for o in SPELLED_OUT if o.target.startswith(f"{prefix}.")}
    assert set(part.__dataclass_fields__) - without == reached


def test_without_options_everything_has_its_default(files: Files) -> None:
    assert files.router("") == RouterConfig(listen=("127.0.0.1:3031",))


def test_the_last_of_an_option_that_does_not_repeat_counts(files: Files) -> None:
    assert files.router("fastrouter-timeout = 1\nfastrouter-timeout = 2").timeout == 2


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("fastrouter-timeout = 0", "timeout", 60.0),
        ("fastrouter-gracetime = 0", "gracetime", 30.0),
        ("fastrouter-buffer-size = 0", "buffer_size", 65_536),
        ("fastrouter-hold = 0", "hold", 0.0),
        ("fastrouter-max-retries = 0", "max_retries", 0),
        ("fastrouter-use-socket", "use_socket", ""),
        ("fastrouter-use-socket = /run/a.sock", "use_socket", "/run/a.sock"),
        ("fastrouter-use-pattern = 127.0.0.1:%%s", "use_pattern", "127.0.0.1:%s"),
        ("fastrouter-use-pattern = /run/%%s:80", "use_pattern", "/run/%s:80"),
        ("fastrouter-to = @abstract", "to", ("@abstract",)),
    ],
)
def test_values(line: str, field: str, value: object, files: Files) -> None:
    assert getattr(files.router(line), field) == value


@pytest.mark.parametrize("word", ["", "true", "on", "yes", "1", "anything"])
def test_switches_are_on_for_anything(word: str, files: Files) -> None:
    assert files.router(f"fastrouter-cheap = {word}").cheap


@pytest.mark.parametrize("word", ["false", "off", "no", "0", "False", "OFF"])
def test_switches_are_off_for_four_words(word: str, files: Files) -> None:
    assert not files.router(f"fastrouter-cheap = {word}").cheap


ADDRESS = "expected host:port, [v6]:port or a socket path"
ONE = "expected one address, without modifier; repeat the option for more"
CODE = "expected 0:FILE:FUNCTION, for example 0:/etc/mapper.py:choose"
PYTHON = "expected 0 (Python) before FILE: no other language runs here"
FIXED = (
    "expected a pattern that fixes the host: with %s in it, clients would choose where to connect"
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fastrouter-timeout = 10x", "expected a number of seconds, for example 30 or 0.5, got '10x'"),
        ("fastrouter-timeout = -1", "expected a number of seconds, for example 30 or 0.5, got '-1'"),
        ("fastrouter-timeout =", "expected a number of seconds, for example 30 or 0.5, got ''"),
        ("fastrouter-timeout = 1e999", "expected a number of seconds, for example 30 or 0.5, got '1e999'"),
        ("fastrouter-timeout = 99999999999", "expected at most a year of seconds, got '99999999999'"),
        ("fastrouter-connect-timeout = 0", "expected a number of seconds above 0, got '0'"),
        ("listen = 0", "expected a whole number from 1 to 65535, got '0'"),
        ("listen = 9 ; x", "expected a whole number from 1 to 65535, got '9 ; x' (a comment needs a line of its own)"),
        ("listen = \u0661", "expected a whole number from 1 to 65535, got '\u0661'"),
        ("chmod-socket = 888", "expected an octal mode, for example 660, got '888'"),
        ("chmod-socket = 1777", "expected an octal mode, for example 660, got '1777'"),
        ("chown-socket = :group", "expected user or user:group, got ':group'"),
        ("env = NAME", "expected NAME=VALUE, got 'NAME'"),
        ("subscription-algo = fastest", "expected wrr, lrc, wlrc or iphash, got 'fastest'"),
        ("fastrouter-errors = html", "expected close or http, got 'html'"),
        ("fastrouter-force-key =", "expected a key of 1 to 255 bytes, got ''"),
        ("pidfile =", "expected a value, got ''"),
        ("fastrouter-use-pattern = %%s:80", f"{FIXED}, got '%s:80'"),
        ("fastrouter-use-code-string = m.py:f", f"{CODE}, got 'm.py:f'"),
        ("fastrouter-use-code-string = 0:a:m.py:f", f"{CODE}, got '0:a:m.py:f'"),
        ("fastrouter-use-code-string = 0::f", f"{CODE}, got '0::f'"),
        ("fastrouter-use-code-string = 0:m.py:a-b", f"{CODE}, got '0:m.py:a-b'"),
        ("fastrouter-use-code-string = 5:m.pl:f", f"{PYTHON}, got '5:m.pl:f'"),
        ("fastrouter-to = 127.0.0.1:1,5", f"{ONE}, got '127.0.0.1:1,5'"),
        ("fastrouter-to = a:1,b:2", f"{ONE}, got 'a:1,b:2'"),
        ("fastrouter-stats = ::1:80", f"{ADDRESS}: write an IPv6 address in brackets: [::1]:port, got '::1:80'"),
    ],
)  # fmt: skip
def test_bad_values_say_what_was_expected_and_where(line: str, message: str, files: Files) -> None:
    name = line.partition(" ")[0]
    assert files.errors(f"fastrouter = :1\n{line}") == [f"router.ini:3: {name}: {message}"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('fastrouter-to = "h:1"', "(quotes belong to the value here: leave them out)"),
        ("fastrouter-to = h:%(port)", "(a placeholder or variable in it is not defined)"),
        ("fastrouter-to = h:$(PORT)", "(a placeholder or variable in it is not defined)"),
    ],
)
def test_bad_values_say_what_may_have_happened(line: str, hint: str, files: Files) -> None:
    (error,) = files.errors(f"fastrouter = :1\n{line}")
    assert error.endswith(hint)


def test_a_socket_path_may_hold_a_comma(files: Files) -> None:
    assert files.router("fastrouter-to = /run/a,b.sock").to == ("/run/a,b.sock",)


def test_a_bad_value_of_the_command_line_names_the_option_as_written() -> None:
    with pytest.raises(ConfigurationError) as caught:
        command_line("--fastrouter=:1", "--fastrouter-timeout=x")
    assert str(caught.value).startswith("command line: --fastrouter-timeout: expected")
    assert caught.value.exit_code == 1


@given(st.sampled_from([o for o in SPELLED_OUT if o.target]), st.text(max_size=30))
def test_any_value_is_read_or_refused_with_what_was_expected(option: object, text: str) -> None:
    assert isinstance(option, type(SPELLED_OUT[0]))
    found = ""
    try:
        option.kind.parse(text)
    except ValueError as error:
        found = str(error)
    assert not found or found.startswith("expected")


# -- classes


def test_everything_that_is_wrong_is_told_at_once(files: Files) -> None:
    path = files.write(
        "[uwsgi]\nfastrouter = :x\nfastruter = :1\nhttps = :80\nmodule = app\nlisten = x\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load([path], {})
    assert caught.value.exit_code == 1
    assert sorted(p.where.rpartition(":")[2] for p in caught.value.problems) == list("23456")


def test_an_unknown_option_is_refused_with_the_nearest_name(files: Files) -> None:
    (error,) = files.errors("fastrouter = :1\nfastrouter-tu = :2")
    assert error.startswith(
        "router.ini:3: unknown option fastrouter-tu; did you mean fastrouter-to? (as a placeholder"
    )


@pytest.mark.parametrize(
    "use",
    [
        "print = %(mine)",
        "print = %(mine + 1)",
        "log-format = %(mine)",
        "if-env = NOPE\nprint = %(mine)\nendif",
        "if-opt = mine\nendif",
    ],
)
def test_an_unknown_key_that_is_used_is_a_placeholder(use: str, files: Files) -> None:
    assert files.errors(f"fastrouter = :1\nmine = 1\n{use}") == []


def test_what_is_true_by_design_is_accepted_silently(files: Files) -> None:
    configuration = files.load(
        """
        fastrouter = :1
        fastrouter-to = :2
        master = true
        processes = 4
        enable-threads = true
        vacuum = true
        plugins = python,fastrouter
        log-format = %(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status)
        die-on-term = true
        need-app = false
        thunder-lock
        no-orphans
        force-gateway = true
        strict = true
        fastrouter-events = 128
        fastrouter-workers = 1
        fastrouter-harakiri = 0
        """
    )
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("fastrouter-workers = 4", "one process serves everything"),
        ("fastrouter-processes = 2", "one process serves everything"),
        ("fastrouter-harakiri = 10", "nothing watches the event loop"),
        ("fastrouter-zerg = /run/z", "no socket is taken from the zerg server"),
        ("fastrouter-emperor-socket = /run/e", "no vassal is started on demand"),
        ("fastrouter-defer-connect-timeout = 5", "no vassal is started on demand"),
        ("touch-reload = /run/r", "nothing is reloaded"),
        ("stats = :9191", "fastrouter-stats"),
    ],
)
def test_what_is_not_yet_there_gives_one_warning_that_says_what_happens(
    line: str, what: str, files: Files
) -> None:
    (warning,) = files.warnings(f"fastrouter = :1\nfastrouter-to = :2\n{line}\n{line}")
    assert warning.startswith(f"router.ini:4: {line.partition(' ')[0]}: not yet: ")
    assert what in warning


@pytest.mark.parametrize(
    "line",
    [
        "https = :443,a.crt,a.key",
        "http-stud-prefix = 127.0.0.1",
        "rawrouter = :1",
        "sslrouter = :1",
        "cache-sync = 127.0.0.1:3031",
        "subscription-vassal-required = true",
        "subscribe-to = 127.0.0.1:1:key",
        "emperor = /etc/vassals",
        "chroot = /srv",
        "daemonize = /var/log/r.log",
        "cron = 0 0 0 0 0 true",
        "attach-daemon = memcached",
        "abstract-socket = true",
        "xml = a.xml",
    ],
)
def test_what_would_be_unsafe_or_out_of_reach_without_is_refused(line: str, files: Files) -> None:
    name = line.partition(" ")[0]
    (error,) = files.errors(f"fastrouter = :1\nfastrouter-to = :2\n{line}")
    assert error.startswith(f"router.ini:4: {name}: not yet: ")


def test_a_switch_that_is_off_asks_for_nothing(files: Files) -> None:
    text = "fastrouter = :1\nfastrouter-to = :2\nabstract-socket = false\nvhost = no\ntcp-nodelay = off"
    assert files.errors(text) == []
    assert files.warnings(text) == []


def test_options_of_an_application_are_refused_all_at_once(files: Files) -> None:
    (error,) = files.errors(
        "fastrouter = :1\nmodule = app:application\ncallable = app\npsgi = a.pl\nhttp-socket = :80"
    )
    assert error.startswith(
        "router.ini:3: module, psgi (router.ini:5), http-socket (router.ini:6): uwsgi-router runs no application."
    )
    assert "subscribe-to" in error


def test_options_of_one_topic_give_one_message(files: Files) -> None:
    (error,) = files.errors(
        "fastrouter = :1\nhttps = :80\nhttps-export-cert\nhttps = :81\nhttps2 = addr=:82"
    )
    assert error.startswith(
        "router.ini:3: https, https-export-cert (router.ini:4), https2 (router.ini:6): not yet: "
    )


def test_nothing_to_listen_on_is_an_error(files: Files) -> None:
    assert files.errors("master = true")[0].startswith(
        "no router is configured: give fastrouter = ADDRESS or http = ADDRESS to listen on"
    )
    assert files.errors("http-to = :1") == [
        "the HTTP router has no address: give http = ADDRESS to listen on"
    ]
    assert files.errors("fastrouter-to = :1") == [
        "the fastrouter has no address: give fastrouter = ADDRESS to listen on"
    ]
