"""Tracebacks name the file and the line, compiled or not."""

import traceback

import pytest

from uwsgi_router.protocol.address import AddressError, parse_address


def test_a_traceback_shows_the_line_that_raised() -> None:
    with pytest.raises(AddressError) as caught:
        parse_address("127.0.0.1:x")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename.endswith("uwsgi_router/protocol/address.py")
    assert last.line is not None
    assert "raise" in last.line
