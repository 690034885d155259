"""From settings to the typed configuration: values, classes, messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.config.configuring import ConfigurationError, Files, command_line, load
from uwsgi_router.router.config.model import (
    RouterConfig,
)
from uwsgi_router.router.config.table import spelled_out


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


@pytest.mark.parametrize("word", ["", "true", "on", "yes", "1", "True", "ON"])
def test_switches_are_on_for_four_words_and_nothing(word: str, files: Files) -> None:
    assert files.router(f"fastrouter-cheap = {word}").cheap


@pytest.mark.parametrize("word", ["false", "off", "no", "0", "False", "OFF"])
def test_switches_are_off_for_four_words(word: str, files: Files) -> None:
    assert not files.router(f"fastrouter-cheap = {word}").cheap


@pytest.mark.parametrize("word", ["flase", "ture", "enabled", "2"])
@pytest.mark.parametrize("name", ["fastrouter-cheap", "no-defer-accept", "http-websockets"])
def test_a_switch_is_not_turned_on_by_a_slip(word: str, name: str, files: Files) -> None:
    """In uWSGI it is; in cache2 too."""
    with pytest.raises(ConfigurationError, match="expected true or false"):
        files.router(f"{name} = {word}")
    with pytest.raises(ConfigurationError, match=r"expected true or false .* for purge_lru"):
        files.router(f"cache2 = name=a,items=1,purge_lru={word}")


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
        ("subscription-algo = fastest", "expected wrr, lrc, wlrc, iphash or least, got 'fastest'"),
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
    assert files.errors(f"fastrouter = 127.0.0.1:1\n{line}") == [f"router.ini:3: {name}: {message}"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('fastrouter-to = "h:1"', "(quotes belong to the value here: leave them out)"),
    ],
)
def test_bad_values_say_what_may_have_happened(line: str, hint: str, files: Files) -> None:
    (error,) = files.errors(f"fastrouter = 127.0.0.1:1\n{line}")
    assert error.endswith(hint)


def test_a_socket_path_may_hold_a_comma(files: Files) -> None:
    assert files.router("fastrouter-to = /run/a,b.sock").to == ("/run/a,b.sock",)


def test_a_bad_value_of_the_command_line_names_the_option_as_written() -> None:
    with pytest.raises(ConfigurationError) as caught:
        command_line("--fastrouter=127.0.0.1:1", "--fastrouter-timeout=x")
    assert str(caught.value).startswith("command line: --fastrouter-timeout: expected")
    assert not caught.value.usage


@given(st.sampled_from([o for o in spelled_out() if o.part]), st.text(max_size=30))
def test_any_value_is_read_or_refused_with_what_was_expected(option: object, text: str) -> None:
    assert isinstance(option, type(spelled_out()[0]))
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
    assert not caught.value.usage
    assert sorted(p.where.rpartition(":")[2] for p in caught.value.problems) == list("23456")


def test_an_unknown_option_is_refused_with_the_nearest_name(files: Files) -> None:
    (error,) = files.errors("fastrouter = 127.0.0.1:1\nfastrouter-tu = :2")
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
    assert files.errors(f"fastrouter = 127.0.0.1:1\nmine = 1\n{use}") == []


def test_what_is_true_by_design_is_accepted_silently(files: Files) -> None:
    configuration = files.load(
        """
        fastrouter = 127.0.0.1:1
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
        ("fastrouter-emperor-socket = /run/e", "no vassal is started on demand"),
        ("fastrouter-defer-connect-timeout = 5", "no vassal is started on demand"),
        ("stats = :9191", "fastrouter-stats"),
    ],
)
def test_what_is_not_yet_there_gives_one_warning_that_says_what_happens(
    line: str, what: str, files: Files
) -> None:
    (warning,) = files.warnings(f"fastrouter = 127.0.0.1:1\nfastrouter-to = :2\n{line}\n{line}")
    assert warning.startswith(f"router.ini:4: {line.partition(' ')[0]}: not yet: ")
    assert what in warning


@pytest.mark.parametrize(
    "line",
    [
        "http-stud-prefix = 127.0.0.1",
        "cache-sync = 127.0.0.1:3031",
        "subscription-vassal-required = true",
        "subscribe-to = 127.0.0.1:1:key",
        "emperor-broodlord = 3",
        "hook-emperor-stop = exec:true",
        "emperor-command-socket = 127.0.0.1:4000",
        "emperor-proxy-socket = /run/proxy.sock",
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
    (error,) = files.errors(f"fastrouter = 127.0.0.1:1\nfastrouter-to = :2\n{line}")
    assert error.startswith(f"router.ini:4: {name}: not yet: ")


def test_a_switch_that_is_off_asks_for_nothing(files: Files) -> None:
    text = "fastrouter = 127.0.0.1:1\nfastrouter-to = :2\nabstract-socket = false\nvhost = no\ntcp-nodelay = off"
    assert files.errors(text) == []
    assert files.warnings(text) == []


def test_options_of_an_application_are_refused_all_at_once(files: Files) -> None:
    (error,) = files.errors(
        "fastrouter = 127.0.0.1:1\nmodule = app:application\ncallable = app\npsgi = a.pl\nhttp-socket = :80"
    )
    assert error.startswith(
        "router.ini:3: module, psgi (router.ini:5), http-socket (router.ini:6): uwsgi-router runs no application."
    )
    assert "subscribe-to" in error


def test_options_of_one_topic_give_one_message(files: Files) -> None:
    (error,) = files.errors(
        "fastrouter = :1\nsubscribe-to = :80:a\nsubscribe = :1:b\nsubscribe-to = :81:a\nsubscribe2 = server=:82"
    )
    assert error.startswith(
        "router.ini:3: subscribe-to, subscribe (router.ini:4), subscribe2 (router.ini:6): not yet: "
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
