"""Table of sessions: what one process notes another one reads."""

import os

from uwsgi_router.router.app.master.session_table import PLACES, SessionTable


def test_what_is_noted_is_read_over_the_descriptor() -> None:
    ours = SessionTable()
    theirs = SessionTable(os.dup(ours.descriptor))
    for pid in (7, 70_000, 256, 65_536):
        theirs.note(pid)
    assert ours.read() == {7, 70_000, 256, 65_536}
    theirs.forget(256)
    theirs.forget(12_345)
    assert ours.read() == {7, 70_000, 65_536}
    ours.clear()
    assert theirs.read() == set()


def test_places_are_used_again_and_a_full_table_takes_no_more() -> None:
    table = SessionTable()
    for pid in range(2, PLACES + 2):
        table.note(pid)
    table.note(1_000_000)
    assert len(table.read()) == PLACES
    table.forget(300)
    table.note(1_000_000)
    assert 1_000_000 in table.read()
