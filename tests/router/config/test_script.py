"""Includes, conditions and loops."""

import socket

import pytest

from tests.router.config.configuring import ENVIRONMENT, Files
from uwsgi_router.router.config.lines import ConfigurationExit


def test_a_loop_repeats_each_line(files: Files) -> None:
    text = "for = a b\nprint = one %(_)\nprint = two %(_)\nendfor =\nprint = end"
    assert files.prints(text) == ["one a", "one b", "two a", "two b", "end"]


def test_loops_over_numbers_files_and_lines(files: Files) -> None:
    files.write("x\ny\n", "lines.txt")
    text = (
        "for-times = 3\nprint = %(_)\nendfor\nfor-glob = %d*.txt\nprint = glob %(_)\nend-for\n"
        "for-readline = %dlines.txt\nprint = line %(_)\nendfor"
    )
    assert [files.shorten(line) for line in files.prints(text)] == [
        "1", "2", "3", "glob lines.txt", "line x", "line y",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("if-env = HOME", "/home/operator"),
        ("ifenv = HOME", "/home/operator"),
        ("if-env = NOPE", None),
        ("if-not-env = NOPE", "%(_)"),
        ("if-not-env = HOME", None),
        ("if-exists = /dev/null", "/dev/null"),
        ("if-not-exists = /nosuch", "%(_)"),
        ("if-file = /etc/passwd", "/etc/passwd"),
        ("if-file = /etc", None),
        ("if-not-file = /etc", "%(_)"),
        ("if-dir = /etc", "/etc"),
        ("if-directory = /etc", "/etc"),
        ("if-not-dir = /etc", None),
        ("if-opt = before", "1"),
        ("if-opt = before=1", "1"),
        ("if-opt = before=2", None),
        ("if-not-opt = after", "%(_)"),
        ("if-hostname = nosuch-host", None),
        (f"if-hostname = {socket.gethostname()}", socket.gethostname()),
        ("if-hostname-match = .", "."),
        ("if-not-hostname-match = ^$", "%(_)"),
        ("if-plugin = fastrouter", "fastrouter"),
        ("if-plugin = python", None),
        ("if-not-plugin = python", "%(_)"),
        ("if-reload =", None),
        ("if-not-reload =", "%(_)"),
        ("if-exists = %(place)", "/etc"),
    ],
)
def test_conditions(condition: str, value: str | None, files: Files) -> None:
    text = f"before = 1\nplace = /etc\n{condition}\nprint = %(_)\nendif =\nprint = end\nafter = 1"
    expected = ["end"] if value is None else [value, "end"]
    assert files.prints(text) == expected


def test_a_condition_without_end_lasts_to_the_end(files: Files) -> None:
    assert files.prints("if-env = HOME\nprint = in") == ["in"]


def test_a_loop_without_end_is_told(files: Files) -> None:
    assert files.errors("fastrouter = 127.0.0.1:1\nfor = a b\nprint = x") == [
        "router.ini:3: for without endfor"
    ]


def test_blocks_cannot_be_nested(files: Files) -> None:
    found = files.errors(
        "fastrouter = 127.0.0.1:1\nif-env = HOME\nfor = a b\nprint = x\nendfor\nendif"
    )
    assert found == ["router.ini:4: for inside if-env of router.ini:3: blocks cannot be nested"]


@pytest.mark.parametrize("word", ["include", "inherit", "ini"])
def test_other_files_are_read_where_they_are_named(word: str, files: Files) -> None:
    files.write("[uwsgi]\nprint = inner %(outer)\n", "inner.ini")
    text = f"outer = o\nprint = a\n{word} = %dinner.ini\nprint = b"
    assert files.prints(text) == ["a", "inner o", "b"]


def test_a_file_may_be_named_with_variables_and_placeholders(files: Files) -> None:
    files.write("[uwsgi]\nprint = inner\n", "sub/inner.ini")
    environ = ENVIRONMENT | {"NAME": "inner"}
    assert files.prints("where = sub\ninclude = %d%(where)/$(NAME).ini", environ) == ["inner"]


def test_an_include_may_stand_in_a_condition(files: Files) -> None:
    files.write("[uwsgi]\nprint = inner\n", "inner.ini")
    assert files.prints("if-env = NOPE\ninclude = %dinner.ini\nendif\nprint = end") == ["end"]


def test_a_section_alone_is_one_of_the_file_read_last(files: Files) -> None:
    files.write("[uwsgi]\nprint = inner\n[app]\nprint = inner app\n", "inner.ini")
    path = files.write(
        "[uwsgi]\nini = :app\nini = %dinner.ini\nini = :app\n[app]\nprint = outer app\n"
    )
    assert files.prints(f"ini = {path}") == []  # the file includes itself: told below
    files.write(
        "[uwsgi]\nini = :app\nini = %dinner.ini\nini = :app\n[app]\nprint = outer app\n", "o.ini"
    )
    assert files.prints("ini = %do.ini") == ["outer app", "inner", "inner app"]


def test_files_that_include_each_other_are_told(files: Files) -> None:
    files.write("[uwsgi]\ninclude = %drouter.ini\n", "inner.ini")
    assert files.errors("fastrouter = 127.0.0.1:1\ninclude = %dinner.ini") == [
        "inner.ini:2: include: files include each other: router.ini[uwsgi] -> inner.ini[uwsgi] -> router.ini[uwsgi]"
    ]


def test_a_configuration_cannot_grow_without_end(files: Files) -> None:
    files.write("[uwsgi]\nfor-times = 10000\nprint = x\nprint = y\nendfor\n", "many.ini")
    found = files.errors("fastrouter = 127.0.0.1:1\nfor-times = 100\ninclude = %dmany.ini\nendfor")
    assert found[-1].endswith("more than 50000 lines of configuration")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("include = %dnosuch.ini", "include: nosuch.ini: No such file or directory"),
        ("ini = http://host/a.ini", "ini: only plain files can be read, not http://host/a.ini"),
        ("ini = exec://id", "ini: only plain files can be read, not exec://id"),
        ("include = -", "include: only plain files can be read, not -"),
        ("set = nothing", "set: expected NAME=VALUE"),
        ("set-ph = =x", "set-ph: expected NAME=VALUE"),
        ("for-times = many", "for-times: expected a whole number up to 10000"),
        ("for-times = 99999", "for-times: expected a whole number up to 10000"),
        ("for-readline = /nosuch", "for-readline: /nosuch: No such file or directory"),
        ("if-hostname-match = (", "if-hostname-match: not a regular expression:"),
    ],
)
def test_mistakes(line: str, message: str, files: Files) -> None:
    found = files.errors(f"fastrouter = 127.0.0.1:1\n{line}\nendfor")
    assert found[0].startswith(f"router.ini:3: {message}")


def test_exit_ends_everything_with_its_code(files: Files) -> None:
    with pytest.raises(ConfigurationExit) as caught:
        files.load("print = before\nexit = 3\nprint = after")
    assert (caught.value.code, caught.value.prints) == (3, ("before",))


def test_exit_may_depend_on_a_condition(files: Files) -> None:
    assert files.prints("if-not-env = HOME\nexit = 3\nendif\nprint = on") == ["on"]
