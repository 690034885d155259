"""Checked WebSocket tunnel: both directions, and the Close frame that ends it."""

from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.websocket import check_handshake
from uwsgi_router.router.fronts.http.websocket.frames import FrameCheck, FrameViolation, close_frame

# Close code of a server that goes away (RFC 6455 section 7.4.1), and of one that starts again: clients connect anew
# (registered with IANA).
_GOING_AWAY = 1001
_SERVICE_RESTART = 1012


class CheckedTunnel:
    """Checker of the frames of one WebSocket.

    Args:
        asked: the client's handshake.
        answered: the node's.
        max_frame: bytes of a frame.
        max_message: bytes of a message.

    Attributes:
        to_node: checks what the client sends.
        to_client: checks what the node sends.

    Raises:
        ResponseError: if the node's handshake is no answer to the client's.
    """

    __slots__ = ("to_client", "to_node")

    def __init__(
        self, asked: RequestHead, answered: ResponseHead, max_frame: int, max_message: int
    ) -> None:
        check_handshake(asked, answered)
        deflate = any(line[:25].lower() == b"sec-websocket-extensions:" for line in answered.lines)
        self.to_node, self.to_client = (
            FrameCheck(
                from_client=from_client,
                max_frame=max_frame,
                max_message=max_message,
                deflate=deflate,
            )
            for from_client in (True, False)
        )

    def close_frames(
        self, fault: BodyError | None, *, by_client: bool, why: str, restart: bool = False
    ) -> tuple[bytes, bytes]:
        """Return what to send last to the client, and to the node: a Close, wherever a frame may begin.

        Args:
            fault: which rule was broken, or None.
            by_client: by the client, not by the node.
            why: for the Close, if no rule was.
            restart: another process goes on.
        """
        code, reason = _SERVICE_RESTART if restart else _GOING_AWAY, why
        last_words = {True: b"", False: b""}
        if isinstance(fault, FrameViolation):
            code, reason = fault.code, fault.reason
            # What was fine goes to the other side.
            last_words[not by_client] = fault.valid
        if self.to_client.at_boundary:
            last_words[True] += close_frame(code, reason, mask=False)
        if self.to_node.at_boundary:
            last_words[False] += close_frame(code, reason, mask=True)
        return last_words[True], last_words[False]
