"""Control socket file: bound with permissions of its own, for who may connect may drain."""

from dataclasses import replace

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BindError, BoundSocket, bind_stream
from uwsgi_router.router.net.unix_file import SocketFileError, set_access


def bind_control_socket(process: ProcessConfig, inherited: Inherited) -> list[BoundSocket]:
    """Listen on ``control-socket``, if there is one.

    Neither ``chmod-socket`` nor ``chown-socket`` says anything about it: they are meant for web servers. A socket that
    systemd opened has the access that its unit gives it.

    Raises:
        BindError: if it can't be listened on.
    """
    path = process.control_socket
    if path is None:
        return []
    own = replace(process, chmod_socket=0o600, chown_socket=None)
    bound = bind_stream(path, own, inherited)
    try:
        for one in bound:
            if one.has_own_file:
                # The owner first: until then nobody but ourselves can connect.
                set_access(
                    to_bytes(path),
                    process.chmod_control_socket,
                    process.chown_control_socket,
                    option="control-socket",
                )
    except SocketFileError as exc:
        for one in bound:
            one.close()
        raise BindError(f"cannot listen on {path}: {exc}") from exc
    return bound
