"""The place that end-to-end tests run their programs in."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make an empty lab in a directory whose name is short enough for UNIX sockets in it."""
    directory = Path(tempfile.mkdtemp(prefix="e2e-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        lab = Lab(directory, stack)
        stack.callback(lab.show_logs)
        yield lab
