"""The comparison of our Emperor with uWSGI's: the page has every row, and each row a test that exists."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS
from tests.docs.emperor_rows import Row, rows, table

TESTS = Path(__file__).parents[1]


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.what)
def test_each_row_has_a_test(row: Row) -> None:
    file, _, name = row.test.partition("::")
    assert name.startswith("test_")
    assert name in functions(file)
    assert row.verdict in ("same", "better", "refused")


def test_the_page_has_the_table() -> None:
    assert (DOCS / "emperor.md").read_text().endswith(table())
