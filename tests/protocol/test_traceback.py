"""Tracebacks name the file and the line, compiled or not."""

import traceback
from pathlib import Path

import pytest

from uwsgi_router import protocol
from uwsgi_router.protocol.address import AddressError, parse_address


def test_a_traceback_shows_the_line_that_raised() -> None:
    with pytest.raises(AddressError) as caught:
        parse_address("127.0.0.1:x")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename.endswith("uwsgi_router/protocol/address.py")
    # Python shows no source for frames of extensions: the line is looked up.
    source = Path(protocol.__path__[0], "address.py").read_text().splitlines()
    assert last.lineno is not None
    assert source[last.lineno - 1].strip().startswith("raise AddressError(")
