"""Lines of the control socket."""

from tests.fuzz.target import Target, outcome
from uwsgi_router.protocol.control import (
    ControlError,
    Question,
    decode_answer,
    decode_question,
    encode_done,
    encode_question,
)


def control_line(data: bytes) -> str:
    """What a client asks on the control socket, and what a router answers to ours."""
    word = ""
    try:
        question = decode_question(data)
    except ControlError as exc:
        word += outcome(exc)
    else:
        assert decode_question(encode_question(question)) == question
        word += f"asked {question.do} {question.wait_only}"
    try:
        word += f"answered {'ok' in decode_answer(data)}"
    except ControlError as exc:
        word += outcome(exc)
    return word


def control_lines(_packet: bytes) -> list[bytes]:
    """One of each."""
    drain = Question("drain", "127.0.0.1:1", b"key", timeout=1.5, wait_only=True)
    weight = Question("weight", "/run/a.sock", weight=3)
    asked = [encode_question(q) for q in (Question("status"), drain, weight)]
    return [*asked, encode_done(nodes=1), b'{"node": {"state": "ready"}}']


TARGETS = (Target("control line", control_line, control_lines),)
