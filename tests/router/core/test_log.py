"""The log can neither be forged nor flooded."""

import io
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.text import printable
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.core.log import LineFormatter, RateLimited, setup


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()
    logger.setLevel(level)


def line(message: str, *args: object, dated: bool = False) -> str:
    record = logging.LogRecord("uwsgi-router.accept", 30, "", 0, message, args, None)
    return LineFormatter(dated=dated).format(record)


def test_a_line_says_level_area_and_message() -> None:
    assert line("node %s", ":3031") == "warning accept: node :3031"


def test_a_dated_line_begins_with_date_and_offset() -> None:
    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} warning accept: up$", line("up", dated=True)
    )


def test_what_a_peer_sent_cannot_begin_a_line_of_its_own_or_drive_a_terminal() -> None:
    forged = "a\n2026-01-01 error accept: forged\r\x1b[2J\u2028\u202e"
    text = line("key %s", forged)
    assert text == (r"warning accept: key a\n2026-01-01 error accept: forged\r\x1b[2J\u2028\u202e")


@given(st.text(st.characters(codec=None)))
def test_whatever_is_logged_stays_on_its_line_and_can_be_written(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def test_letters_of_any_language_stay_readable() -> None:
    assert printable("Grüße, 世界") == "Grüße, 世界"


def test_a_traceback_is_marked_line_by_line() -> None:
    def fail() -> NoReturn:
        raise ValueError("bad\n2026-01-01 error accept: forged")

    try:
        fail()
    except ValueError:
        record = logging.LogRecord("x", 40, "", 0, "oops", (), sys.exc_info())
    first, *rest = LineFormatter(dated=False).format(record).split("\n")
    assert first == "error x: oops"
    assert rest
    assert all(part.startswith("  | ") for part in rest)


def test_logto_appends_to_the_file(root: logging.Logger, tmp_path: Path) -> None:
    # pytest would keep the line too, and its workers can't send a lone surrogate to each other.
    root.handlers.clear()
    file = tmp_path / "router.log"
    file.write_text("yesterday\n")
    setup(ProcessConfig(logto=str(file), log_date=False))
    logging.getLogger("uwsgi-router.test").info("today \udcff")
    assert file.read_text() == "yesterday\ninfo test: today \\udcff\n"


def test_without_logto_lines_go_to_standard_error(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    setup(ProcessConfig(log_date=False))
    logging.getLogger("asyncio").error("also of the loop")
    assert stderr.getvalue() == "error asyncio: also of the loop\n"


def test_logto_with_a_udp_address_warns_and_uses_standard_error(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.chdir(tmp_path)
    setup(ProcessConfig(logto="127.0.0.1:5170"))
    assert "logging over UDP is not supported" in stderr.getvalue()
    assert not list(tmp_path.iterdir())


def test_a_log_file_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "router.log"
    with pytest.raises(StartError, match=rf"cannot write the log file {missing}: No such file"):
        setup(ProcessConfig(logto=str(missing)))


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Limited:
    """A rate limited logger under a manual clock."""

    def __init__(self, max_keys: int = 100) -> None:
        self.now = 0.0
        self.handler = Lines()
        logger = logging.Logger("limited")  # noqa: LOG001
        logger.addHandler(self.handler)
        self.limiter = RateLimited(logger, max_keys=max_keys, clock=lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.handler.lines


def test_one_line_per_key_and_second_and_the_next_tells_how_many_were_left_out() -> None:
    limited = Limited()
    for number in range(5):
        limited.limiter.warning("short", "packet %d", number)
    limited.limiter.warning("long", "other")
    limited.now = 1.0
    limited.limiter.warning("short", "packet %d", 5)
    limited.now = 2.0
    limited.limiter.warning("short", "packet %d", 6)
    assert limited.lines == ["packet 0", "other", "packet 5 (and 4 more like it)", "packet 6"]


def test_neither_memory_nor_lines_grow_with_the_number_of_keys() -> None:
    limited = Limited(max_keys=10)
    for number in range(1000):
        limited.limiter.error(number, "key %d", number)
    assert len(limited.lines) == 11
    limited.now = 1.0
    for number in range(1000, 2000):
        limited.limiter.error(number, "key %d", number)
    assert len(limited.limiter._silenced) == 10
    assert len(limited.lines) == 22
    assert limited.lines[-1] == "key 1010 (and 989 more like it)"


def test_lines_left_out_among_too_many_keys_are_counted_together() -> None:
    limited = Limited(max_keys=1)
    limited.limiter.info("a", "a")
    for key in "bcde":
        limited.limiter.info(key, key)
    limited.now = 0.5
    limited.limiter.info("a", "a")
    limited.now = 1.0
    limited.limiter.info("a", "a")
    limited.limiter.info("f", "f")
    assert limited.lines == ["a", "b", "a (and 1 more like it)", "f (and 3 more like it)"]
