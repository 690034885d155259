"""The ini dialect, line by line, as the real program reads it."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.config.configuring import Files
from uwsgi_router.router.config.ini import parse
from uwsgi_router.router.config.lines import Line, Problem
from uwsgi_router.router.config.magic import substitute
from uwsgi_router.version import __version__


def lines(text: str, section: str = "uwsgi") -> tuple[list[tuple[str, str]], list[Problem]]:
    problems: list[Problem] = []
    found = parse(text, file="f", section=section, magic={}, problems=problems, warnings=[])
    return [(line.name, line.value) for line in found], problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", ("a", "b")),
        ("  a \t =  b  c \t", ("a", "b  c")),
        ("a = b = c", ("a", "b = c")),
        ("a == b", ("a", "= b")),
        ("a", ("a", "")),
        ("a =", ("a", "")),
        ("a: b", ("a: b", "")),
        ('a = "b c"', ("a", '"b c"')),
        ("a = b ; no comment", ("a", "b ; no comment")),
        ("a = b # no comment", ("a", "b # no comment")),
        ("a = é", ("a", "é")),
        ("a = b\r", ("a", "b")),
        ("a = b \\", ("a", "b \\")),
    ],
)
def test_one_line(text: str, expected: tuple[str, str]) -> None:
    assert lines(f"[uwsgi]\n{text}\n") == ([expected], [])


def test_comments_and_empty_lines_are_skipped() -> None:
    assert lines("[uwsgi]\n; a = 1\n  # b = 2\n\n \nc = 3") == ([("c", "3")], [])


def test_keys_repeat_and_keep_their_order() -> None:
    assert lines("[uwsgi]\na=2\nb=1\na=1\n")[0] == [("a", "2"), ("b", "1"), ("a", "1")]


def test_only_the_wanted_section_is_read_and_its_parts_add_up() -> None:
    text = "stray = 0\n[a]\nx = 1\n[uwsgi]\nx = 2\n[b]\nx = 3\n[uwsgi]\nx = 4\n"
    assert lines(text)[0] == [("x", "2"), ("x", "4")]
    assert lines(text, "b")[0] == [("x", "3")]


def test_section_names_are_exact() -> None:
    assert lines("[ uwsgi ]\nx = 1\n")[1] == [
        Problem("f", "there is no section [uwsgi] in this file")
    ]


def test_a_byte_order_mark_is_no_part_of_the_section() -> None:
    assert lines("\ufeff[uwsgi]\na = b")[0] == [("a", "b")]


def test_mistakes_are_told_with_their_line() -> None:
    assert lines("[uwsgi]\n= b\n[broken\n")[1] == [
        Problem("f:2", "expected a name before ="),
        Problem("f:3", "a section is written [name]"),
    ]


def test_lines_know_where_they_stand() -> None:
    found = parse(
        "[uwsgi]\n\na = b", file="x.ini", section="uwsgi", magic={}, problems=[], warnings=[]
    )
    assert found == [Line("a", "b", "x.ini:3", section="uwsgi")]


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    for name, value in lines("[uwsgi]\n" + text)[0]:
        assert name
        assert value == value.strip()


# -- magic variables


def test_magic_variables_of_the_file(files: Files, tmp_path: Path) -> None:
    printed = files.prints("print = %p|%s|%n|%e|%d|%c|%o|%0|%x|")
    path = tmp_path / "router.ini"
    first = os.fspath(tmp_path).split("/")[1]
    assert printed == [f"{path}|router.ini|router|ini|{tmp_path}/|{tmp_path.name}|{path}|{first}||"]


def test_magic_variables_of_the_process(files: Files) -> None:
    assert files.prints("print = %v %V %h %u %g %k %%") == [
        f"{os.getcwd()} {__version__} {socket.gethostname()} {os.getuid()} {os.getgid()} {os.cpu_count()} %"
    ]


def test_capital_letters_tell_about_the_first_file_that_is_no_include(files: Files) -> None:
    files.write("[uwsgi]\nprint = %n %N\n", "template.ini")
    assert files.prints("include = %dtemplate.ini\nprint = %n %N") == [
        "template router",
        "router router",
    ]


def test_the_section_is_a_magic_variable(files: Files) -> None:
    files.write("[part]\nprint = %x\n", "other.ini")
    assert files.prints("ini = %dother.ini:part") == ["part"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%n", "name"),
        ("%%n", "%n"),
        ("%%%n", "%name"),
        ("%(n)", "%(n)"),
        ("%%(n)", "%(n)"),
        ("100%", "100%"),
        ("50% of", "50% of"),
        ("%a%n", "name"),
    ],
)
def test_percent_signs(text: str, expected: str) -> None:
    assert substitute(text, {"n": "name", "%": "%"}) == expected


def test_the_key_of_a_pattern_is_no_magic_variable(files: Files) -> None:
    pattern = "fastrouter = 127.0.0.1:1\nfastrouter-use-pattern = /run/%s/app.sock"
    report = files.examine(pattern)
    assert report.configuration.routers[0].use_pattern == "/run/%s/app.sock"
    assert [files.shorten(w)[:60] for w in report.warnings] == [
        "router.ini:3: fastrouter-use-pattern: %s is taken as the key"
    ]


def test_a_pattern_written_for_uwsgi_is_read_as_there(files: Files) -> None:
    assert (
        files.router("fastrouter-use-pattern = /run/%n/%%s.sock").use_pattern
        == "/run/router/%s.sock"
    )


def test_a_name_that_a_magic_variable_makes_empty_is_refused() -> None:
    problems: list[Problem] = []
    found = parse(
        "[uwsgi]\n%x=1\n",
        file="r.ini",
        section="uwsgi",
        magic={"x": ""},
        problems=problems,
        warnings=[],
    )
    assert found == []
    assert [str(problem) for problem in problems] == [
        "r.ini:2: %x stands for nothing here, and no name is left"
    ]
