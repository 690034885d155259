"""Challenges of ACME (RFC 8555 section 8.3): files of a directory in which a client such as certbot puts them."""

import errno
import logging
import os
import re
import stat
from typing import Final

from uwsgi_router.protocol.text import show
from uwsgi_router.router.core.log import RateLimited

log = logging.getLogger("uwsgi-router.http")

#: Bytes of a challenge's file. A token with the hash of a key has fewer than 200.
MAX_CHALLENGE: Final = 4096

_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_FOLDERS: Final = (b".well-known", b"acme-challenge")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe in the place of a file is not waited for.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Webroot:
    """Directory in which a client of ACME, such as certbot, answers challenges (``acme-webroot``).

    A token is the file ``.well-known/acme-challenge/TOKEN`` below it. Whoever may write there decides what is answered,
    but gets no other file out: below the directory links are not followed.

    Args:
        directory: as configured.
    """

    __slots__ = ("_directory", "_limited")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._limited = RateLimited(log)

    def read(self, token: bytes) -> bytes | None:
        """Return the content of a token's file; None: there is none that could be meant."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            return self._read(token)
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                # Whoever set it up wants to know; clients without a challenge cause no such line.
                self._limited.log(
                    logging.WARNING,
                    "challenge",
                    "http-acme-webroot = %s: the challenge %s can't be read: %s",
                    self._directory,
                    show(token),
                    exc.strerror,
                )
            return None

    def _read(self, token: bytes) -> bytes:
        at = os.open(self._directory, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for folder in _FOLDERS:
                above, at = at, os.open(folder, _DIRECTORY, dir_fd=at)
                os.close(above)
            file = os.open(token, _FILE, dir_fd=at)
        finally:
            os.close(at)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            if status.st_size > MAX_CHALLENGE:
                raise OSError(errno.EFBIG, f"it is larger than {MAX_CHALLENGE} bytes")
            return os.read(file, MAX_CHALLENGE)
        finally:
            os.close(file)
