"""Cores that servers' arguments tell plainly."""

import pytest

from uwsgi_router.subscriptions.client.cores import cores_of


@pytest.mark.parametrize(
    ("command", "cores"),
    [
        ("gunicorn app:app", 1),
        ("gunicorn app:app -w 4", 4),
        ("gunicorn -w4 --threads=8 app:app", 32),
        ("python3 -m gunicorn --workers 3 -k gthread --threads 2 app:app", 6),
        ("/opt/venv/bin/gunicorn -k uvicorn.workers.UvicornWorker -w 4 app:app", 0),
        ("gunicorn -c gunicorn.conf.py app:app", 0),
        ("gunicorn --workers many app:app", 0),
        ("uvicorn --workers 4 app:app", 0),
        ("granian --interface wsgi --workers 2 --blocking-threads 4 app:app", 8),
        ("granian --interface asgi --workers 2 --blocking-threads 4 app:app", 0),
        ("granian --interface wsgi app:app", 0),
        ("python3 -m http.server", 0),
    ],
)
def test_arguments(command: str, cores: int) -> None:
    assert cores_of(command.split(), {}) == cores


def test_the_environment_counts_as_it_does_for_the_server() -> None:
    assert cores_of(["gunicorn", "app:app"], {"WEB_CONCURRENCY": "5"}) == 5
    assert cores_of(["gunicorn", "app:app", "-w", "2"], {"WEB_CONCURRENCY": "5"}) == 2
    assert cores_of(["gunicorn", "app:app"], {"GUNICORN_CMD_ARGS": "--threads 4"}) == 4
