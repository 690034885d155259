"""The examples in the docstrings of the Python API do what they show."""

import doctest
from types import ModuleType

import pytest

from uwsgi_router.router.api import fast, forwarders, http, jails


@pytest.mark.parametrize("module", [fast, forwarders, http, jails])
def test_the_examples_are_right(module: ModuleType) -> None:
    tried = doctest.testmod(module)
    assert tried.failed == 0
    assert tried.attempted > 0
