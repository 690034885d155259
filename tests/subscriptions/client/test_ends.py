"""Ends of processes in words: exit codes, signals with and without a name."""

import pytest

from uwsgi_router.subscriptions.client.ends import cause_of, in_words


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        (0, "exit code 0", "ended with exit code 0"),
        (126, "exit code 126", "ended with exit code 126: it can't be run"),
        (127, "exit code 127", "ended with exit code 127: the program is not there"),
        (-10, "signal 10, SIGUSR1", "ended by signal 10, SIGUSR1"),
        (-11, "signal 11, SIGSEGV", "ended by signal 11, SIGSEGV: a fault in compiled code"),
        (-99, "signal 99", "ended by signal 99"),
    ],
)
def test_what_became_of_a_process(code: int, cause: str, words: str) -> None:
    assert (cause_of(code), in_words(code)) == (cause, words)
