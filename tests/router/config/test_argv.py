import pytest

from tests.router.config.configuring import Files, command_line, load, usage_errors


def test_values_follow_an_equals_sign_or_as_the_next_word() -> None:
    (router,) = command_line("--fastrouter=127.0.0.1:1", "--fastrouter-to", "127.0.0.1:2").routers
    assert (router.listen, router.to) == (("127.0.0.1:1",), ("127.0.0.1:2",))


def test_options_repeat() -> None:
    (router,) = command_line(
        "--fastrouter=:1", "--fastrouter=/f.sock", "--fastrouter=@foobar"
    ).routers
    assert router.listen == (":1", "/f.sock", "@foobar")


def test_aliases_are_the_same_option() -> None:
    (router,) = command_line(
        "--fastrouter=:1", "--fastrouter-ss=:2", "--fastrouter-stats-server=:3"
    ).routers
    assert router.stats == (":2", ":3")


def test_letters_cluster_and_take_their_value_behind_or_as_the_next_word() -> None:
    process = command_line("-Ms:1", "-s", ":2", "-C660", "-l", "7", "--fastrouter=:1").process
    assert (process.worker_sockets, process.chmod_socket, process.listen) == (
        (":1", ":2"),
        0o660,
        7,
    )


def test_switches_take_no_word() -> None:
    (router,) = command_line("--fastrouter-cheap", "--fastrouter", ":1").routers
    assert router.cheap


def test_switches_may_be_turned_off() -> None:
    (router,) = command_line("--fastrouter-cheap=false", "--fastrouter=:1").routers
    assert not router.cheap


@pytest.mark.parametrize(
    ("words", "quiet"),
    [
        (["--fastrouter-quiet"], True),
        (["--fastrouter-quiet", "true"], True),
        (["--fastrouter-quiet", "off"], False),
        (["--fastrouter-quiet=0"], False),
        (["--fastrouter-quiet", "--fastrouter-cheap"], True),
    ],
)
def test_quiet_works_with_and_without_the_word_that_uwsgi_wants(
    words: list[str], quiet: bool
) -> None:
    (router,) = command_line("--fastrouter=:1", *words).routers
    assert router.quiet is quiet


def test_optional_values_need_the_equals_sign() -> None:
    configuration = command_line("--chmod-socket", "--fastrouter", ":1", "--fastrouter-use-socket")
    assert configuration.process.chmod_socket == 0o666
    assert configuration.routers[0].use_socket == ""
    assert command_line("--fastrouter=:1", "--chmod-socket=600").process.chmod_socket == 0o600


def test_a_percent_sign_on_the_command_line_is_no_magic_variable() -> None:
    (router,) = command_line(
        "--fastrouter=:1", "--fastrouter-use-pattern", "/tmp/%s/uwsgi.sock"
    ).routers
    assert router.use_pattern == "/tmp/%s/uwsgi.sock"


def test_loops_and_placeholders_work_on_the_command_line() -> None:
    (router,) = command_line(
        "--set-ph", "host=127.0.0.1", "--for=1 2", "--fastrouter=%(host):%(_)", "--endfor"
    ).routers
    assert router.listen == ("127.0.0.1:1", "127.0.0.1:2")


@pytest.mark.parametrize(
    "order", [["FILE", "--fastrouter-timeout=5"], ["--fastrouter-timeout=5", "FILE"]]
)
def test_bare_files_are_read_after_the_options(order: list[str], files: Files) -> None:
    path = files.write("[uwsgi]\nfastrouter = :1\nfastrouter-timeout = 9\n")
    (router,) = command_line(*[path if word == "FILE" else word for word in order]).routers
    assert router.timeout == 9


def test_a_file_of_the_ini_option_is_read_where_it_stands(files: Files) -> None:
    path = files.write("[uwsgi]\nfastrouter = :1\nfastrouter-timeout = 9\n")
    (router,) = command_line("--ini", path, "--fastrouter-timeout=5").routers
    assert router.timeout == 5


def test_a_section_is_chosen_behind_a_colon(files: Files) -> None:
    path = files.write("[uwsgi]\nfastrouter = :1\n[other]\nfastrouter = :2\n")
    assert command_line(f"{path}:other").routers[0].listen == (":2",)
    assert command_line("--ini", f"{path}:other").routers[0].listen == (":2",)


def test_what_follows_two_dashes_is_a_file(files: Files) -> None:
    path = files.write("[uwsgi]\nfastrouter = :1\n")
    assert command_line("--", path).routers[0].listen == (":1",)


def test_the_environment_gives_options_that_the_command_line_overrides() -> None:
    environ = {
        "UWSGI_FASTROUTER": ":1",
        "UWSGI_FASTROUTER_TIMEOUT": "7",
        "UWSGI_FASTROUTER_GRACETIME": "8",
    }
    (router,) = load(["--fastrouter-timeout=9"], environ).routers
    assert (router.listen, router.timeout, router.gracetime) == ((":1",), 9, 8)


def test_unknown_variables_of_the_environment_only_warn() -> None:
    configuration = load(
        ["--fastrouter=/a", "--fastrouter-to=:2"], {"UWSGI_NOSUCH": "1", "UWSGI_MODULE": "app"}
    )
    assert configuration.warnings == (
        "environment: UWSGI_NOSUCH is neither an option nor used as %(nosuch): ignored",
        "environment: module: for an application, which uwsgi-router does not run: ignored",
    )


@pytest.mark.parametrize("emperor", [True, False])
def test_variables_for_vassals_are_an_emperors(emperor: bool) -> None:
    options = ["--emperor=/etc/vassals"] if emperor else ["--fastrouter=/a", "--fastrouter-to=:2"]
    configuration = load(options, {"UWSGI_VASSAL_SOCKET": "/run/%n.sock"})
    assert ("UWSGI_VASSAL_SOCKET" in "".join(configuration.warnings)) is not emperor


def test_a_variable_of_the_environment_may_be_a_placeholder() -> None:
    environ = {"UWSGI_NODE_PORT": "3031"}
    configuration = load(["--fastrouter=/a", "--fastrouter-to=127.0.0.1:%(node-port)"], environ)
    assert configuration.routers[0].to == ("127.0.0.1:3031",)
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--fastruter=:1"],
            "command line: unknown option --fastruter; did you mean --fastrouter?",
        ),
        (["--qqqqqqqq", "value"], "command line: unknown option --qqqqqqqq"),
        (["-Z"], "command line: unknown option -Z"),
        (["--fastrouter"], "command line: --fastrouter needs a value (ADDRESS)"),
        (["-l"], "command line: -l needs a value (N)"),
        (
            ["nonsense"],
            "command line: unexpected argument 'nonsense': expected options and FILE.ini[:SECTION]",
        ),
        (["a.xml"], "command line: a.xml: xml files are not read yet: write it as an ini file"),
        (["a.yaml"], "command line: a.yaml: yaml files are not read yet: write it as an ini file"),
    ],
)
def test_usage_errors(words: list[str], message: str) -> None:
    assert usage_errors(*words) == [message]


def test_all_usage_errors_are_told_at_once() -> None:
    assert len(usage_errors("--nosuch-a=1", "--nosuch-b=2", "stray")) == 3
