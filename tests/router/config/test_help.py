"""The help and the options page come from the table and hold all of it."""

from pathlib import Path

import pytest

from uwsgi_router.router.config import table, unsupported
from uwsgi_router.router.config.help import about, everything, matching, overview
from uwsgi_router.router.config.page import page

PAGE = Path(__file__).parents[3] / "docs" / "options.md"


def test_the_help_names_every_option_of_ours_and_every_topic() -> None:
    text = everything()
    assert [o.name for o in table.spelled_out() if f"--{o.name}" not in text] == []
    assert [t.title for t in unsupported.topics() if t.title not in text] == []


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for text in (overview(width), everything(width), matching("timeout", width) or ""):
        # A name may be longer than any line.
        lines = [line for line in text.splitlines() if not line.startswith("  --")]
        assert max(map(len, lines)) <= width


def test_the_help_is_one_screen_that_says_where_the_rest_is() -> None:
    text = overview(80)
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 80
    assert "help WORD" in text
    assert "--help-all" in text
    assert "Exit codes" in text


def test_options_are_found_by_a_word() -> None:
    text = matching("websocket")
    assert text is not None
    assert "--http-websocket-timeout SECONDS" in text
    assert "--http-keepalive" not in text
    assert "Not here, or nothing to do: " in (matching("emperor") or "")
    assert matching("qqqq") is None


def test_one_option_is_explained_by_name_alias_or_letter() -> None:
    expected = "--fastrouter-processes N|auto (fastrouter-workers)\n"
    assert (about("--fastrouter-workers") or "").startswith(expected)
    assert (about("-s") or "").startswith("-s, --socket ADDRESS (uwsgi-socket)\n")
    assert (about("httprouter") or "").startswith(
        "--http ADDRESS (httprouter)\nListen here for HTTP."
    )
    assert "not yet, refused: " in (about("subscribe-to") or "")
    assert about("nosuch") is None


def test_the_page_in_the_docs_is_current() -> None:
    assert PAGE.read_text() == page(), (
        "run: python -m uwsgi_router.router.config.page > docs/options.md"
    )


def test_the_page_tells_apart_what_uwsgi_does_not_know() -> None:
    text = page()
    assert "| **`http-errors`** |" in text
    assert "| *`http-post-buffering`* |" in text
    assert "| `http-keepalive` |" in text


def test_the_page_holds_every_name() -> None:
    text = page()
    assert [name for name in table.names() if f"`{name}`" not in text] == []
