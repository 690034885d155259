"""What the documentation tells people to type works, and shows what it says that it shows."""

import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, blocks
from tests.docs.scenario import Scenario


def _needs_peers(page: Path) -> bool:
    return any(
        block.language == "nginx"
        or re.search(r"^\$ (uwsgi\b(?!-)|redis-)", block.text, re.MULTILINE)
        for block in blocks(page)
    )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.peers] if _needs_peers(page) else [])
        for page in PAGES
        if blocks(page)
    ],
)
def test_a_page_can_be_followed(page: Path) -> None:
    directory = Path(tempfile.mkdtemp(prefix="docs-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        scenario = Scenario(directory, stack)
        for block in blocks(page):
            scenario.run(block)
