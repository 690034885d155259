"""The facts about the machine claim what can be seen, and no more."""

import sys

import pytest

from bench import machine


@pytest.mark.parametrize(
    ("configured", "package", "told"),
    [
        ("'--prefix=/usr'", "", "configured without --enable-optimizations and --with-lto"),
        (
            "'--enable-optimizations' '--with-lto=full'",
            "",
            "configured --enable-optimizations --with-lto",
        ),
        (
            "'--enable-optimizations' '--with-lto=no'",
            "python3 3.14",
            "Debian's package python3 3.14; configured --enable-optimizations",
        ),
        (
            "'--prefix=/usr'",
            "python3.11-minimal 3.11.2-6",
            "Debian's package python3.11-minimal 3.11.2-6; it does not tell how it was optimised",
        ),
    ],
)
def test_how_the_interpreter_was_built(configured: str, package: str, told: str) -> None:
    assert machine.build(configured, package) == told


def test_a_file_that_no_package_has_is_of_none() -> None:
    assert machine.debian_package("/nowhere/python3") == ""


def test_the_facts_name_the_interpreter() -> None:
    facts = machine.facts()
    version = ".".join(map(str, sys.version_info[:3]))
    assert facts["Python"].startswith(f"CPython {version}, /")
    assert facts["compiled router"]
