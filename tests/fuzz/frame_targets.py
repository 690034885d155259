"""WebSocket frames in both directions, cut at any place."""

from tests.fuzz.target import Target
from uwsgi_router.router.fronts.http.websocket.frames import FrameCheck, FrameViolation, close_frame

_MAX = 4_096
# A header that is not whole (14 bytes), or a control frame (131).
_HELD = 131 + 14


def frames(data: bytes) -> str:
    """Whatever comes, what passes is a beginning of it, and little is held back."""
    words = []
    for from_client in (True, False):
        passed, word = _pass(data, [data], from_client)
        step = 1 + len(data) % 7
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        passed_in_pieces, word_in_pieces = _pass(data, pieces, from_client)
        assert word == word_in_pieces
        if word == "passes":
            assert passed == passed_in_pieces
            assert len(data) - len(passed) <= _HELD
        words.append(word)
    return " ".join(words)


def _pass(data: bytes, pieces: list[bytes], from_client: bool) -> tuple[bytes, str]:
    check = FrameCheck(from_client=from_client, max_frame=_MAX, max_message=2 * _MAX, deflate=True)
    passed, violation = b"", None
    for piece in pieces:
        try:
            passed += check.feed(piece)
            while check.more:
                passed += check.feed(b"")
        except FrameViolation as exc:
            violation = exc
            break
    assert data.startswith(passed)
    if violation is not None:
        assert data.startswith(passed + violation.valid)
        return passed, str(violation.code)
    return passed, "closed" if check.done else "passes"


def recorded(packet: bytes) -> list[bytes]:
    """Frames that carry the packet, and a Close."""
    payload = packet[:100]
    return [
        bytes((0x81, 2)) + b"hi" + close_frame(1000, "bye", mask=False),
        bytes((0x82, len(payload))) + payload + bytes((0x89, 0)),
        bytes((0x02, 0x80 | len(payload))) + bytes(4) + payload + bytes((0x80, 0x80)) + bytes(4),
        bytes((0xC1, 0x80 | 3)) + bytes(4) + b"abc" + close_frame(1001, "", mask=True),
    ]


TARGETS = (Target("frames", frames, recorded),)
