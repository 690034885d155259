"""Whatever is written, it is read or told to be wrong: no exception, no hang."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.router.config.configuring import Files
from uwsgi_router.router.config.lines import ConfigurationExit
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.table import names

INCLUDES = {"ini", "include", "inherit", "for-glob", "for-readline"}  # would look at real files

WORDS = st.text(alphabet=st.sampled_from("ab01:/@.,;#%$()[]=+-* \0\"'\u0661é"), max_size=20)
VALUES = st.one_of(
    WORDS, st.sampled_from(["%(a)", "$(HOME)", "%(b 1 +)", "=0", "127.0.0.1:1", "1", "%n%s"])
)
KEYS = st.one_of(st.sampled_from(sorted(set(names()) - INCLUDES)), st.sampled_from("ab"), WORDS)
LINES = st.lists(st.tuples(KEYS, VALUES), max_size=12)


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_any_file(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{name} = {value}" for name, value in lines)
    with tempfile.TemporaryDirectory() as directory:
        try:
            report = Files(Path(directory)).examine(text)
        except ConfigurationExit:
            return
    assert report.problems or report.configuration.routers


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(WORDS, KEYS.map("--{}".format), WORDS.map("-{}".format)), max_size=8))
def test_any_command_line(argv: list[str]) -> None:
    try:
        report = examine(argv, {})
    except ConfigurationExit:
        return
    assert report.problems or report.configuration.routers
