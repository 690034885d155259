"""Process name as ``top``, ``ps -o comm`` and ``pgrep`` show it.

Linux keeps 15 bytes of it (prctl(2), PR_SET_NAME); uWSGI overwrites the command line instead, which
shows more but hides what was started. The command line stays as it is here.
"""

import ctypes

_PR_SET_NAME = 15
_LONGEST = 15


def set_title(procname: str | None, prefix: str | None) -> None:
    """Apply ``procname`` and ``procname-prefix``; without either the name stays.

    Longer names are cut after 15 bytes.
    """
    if procname is None and prefix is None:
        return
    title = (prefix or "") + (procname or "uwsgi-router")
    # A name that can't be set is no reason not to serve.
    ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode("utf-8", "replace")[:_LONGEST], 0, 0, 0)
