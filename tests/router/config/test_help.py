"""The help and the options page come from the table and hold all of it."""

from pathlib import Path

from uwsgi_router.router.config import table, unsupported
from uwsgi_router.router.config.help import about, overview
from uwsgi_router.router.config.page import page

PAGE = Path(__file__).parents[3] / "docs" / "options.md"


def test_the_help_names_every_option_of_ours_and_every_topic() -> None:
    text = overview()
    assert [o.name for o in table.spelled_out() if f"--{o.name}" not in text] == []
    assert [t.title for t in unsupported.topics() if t.title not in text] == []


def test_the_help_fits_a_wide_terminal() -> None:
    assert max(map(len, overview().splitlines())) <= 120


def test_one_option_is_explained_by_name_alias_or_letter() -> None:
    expected = "--fastrouter-processes N (fastrouter-workers)\n"
    assert (about("--fastrouter-workers") or "").startswith(expected)
    assert (about("-s") or "").startswith("-s, --socket ADDRESS (uwsgi-socket)\n")
    assert (about("httprouter") or "").startswith(
        "--http ADDRESS (httprouter)\nListen here for HTTP."
    )
    assert "not yet, refused: " in (about("https") or "")
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
