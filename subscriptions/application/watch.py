"""Watch of source files for ``--reload``: a change begins a rollout (library watchfiles, an extra)."""

import logging
import threading
from collections.abc import Sequence

from uwsgi_router.subscriptions.application.supervisor import Supervision
from uwsgi_router.subscriptions.client.errors import SubscribeError

log = logging.getLogger("uwsgi-router.serve")


class SourceWatch:
    """Watch of directories; a part of the supervisor's loop.

    Args:
        paths: directories and files.

    Raises:
        SubscribeError: watchfiles is not installed, or a path is not there.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        try:
            import watchfiles  # noqa: PLC0415
        except ImportError as exc:
            raise SubscribeError(
                "reload needs the package watchfiles: pip install 'uwsgi-router[reload]'"
            ) from exc
        import os  # noqa: PLC0415

        for path in paths:
            if not os.path.exists(path):
                raise SubscribeError(f"reload = {path}: there is no such file or directory")
        self._watch = watchfiles.watch
        self._filter = watchfiles.PythonFilter(extra_extensions=(".html", ".toml", ".ini", ".env"))
        self._paths = paths
        self._stop = threading.Event()

    def start(self, supervision: Supervision) -> None:
        """Begin to watch."""

        def run() -> None:
            for changes in self._watch(
                *self._paths, watch_filter=self._filter, stop_event=self._stop
            ):
                files = sorted({path for _, path in changes})
                more = f" and {len(files) - 1} more" if len(files) > 1 else ""
                log.info("%s%s changed: rollout", files[0], more)
                supervision.questions.post(supervision.rollout)

        threading.Thread(target=run, daemon=True, name="watch").start()

    def close(self) -> None:
        """End."""
        self._stop.set()
