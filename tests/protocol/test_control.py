"""Questions and answers of the control socket."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.keys import normal_keys
from uwsgi_router.protocol.control import (
    MAX_ANSWER,
    MAX_QUESTION,
    ControlError,
    Question,
    decode_answer,
    decode_question,
    encode_done,
    encode_line,
    encode_question,
    encode_refusal,
)
from uwsgi_router.protocol.subscription import MAX_KEY, MAX_WEIGHT

NODES = st.binary(min_size=1, max_size=255).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
KEYS = st.none() | normal_keys(MAX_KEY)
QUESTIONS = st.one_of(
    st.builds(Question, st.just("status"), key=KEYS),
    st.builds(Question, st.just("enable"), NODES, KEYS),
    st.builds(
        Question, st.just("weight"), NODES, KEYS, weight=st.none() | st.integers(1, MAX_WEIGHT)
    ),
    st.builds(
        Question,
        st.just("drain"),
        NODES,
        KEYS,
        timeout=st.floats(0, 86_400),
        wait_only=st.booleans(),
        streams=st.none() | st.floats(0, 86_400),
    ),
    st.builds(
        Question,
        st.just("drain"),
        NODES,
        timeout=st.floats(0, 86_400),
        while_connected=st.booleans(),
    ),
    st.builds(Question, st.just("status"), running=st.booleans()),
    st.builds(
        Question,
        st.just("vassals"),
        vassal=st.text("abc-1", min_size=1, max_size=32),
        order=st.sampled_from(("", "start", "stop", "reload", "reset", "log")),
    ),
    st.builds(Question, st.just("apps"), app=st.text("abc-1", max_size=32)),
    st.builds(
        Question,
        st.just("rollout"),
        app=st.text("abc-1", max_size=32),
        surge=st.none() | st.booleans(),
    ),
)


def test_a_key_arrives_in_its_normal_form() -> None:
    question = decode_question(encode_question(Question("status", key=b"Example.COM.:80/Shop")))
    assert question.key == b"example.com:80/Shop"


@given(QUESTIONS)
def test_what_is_asked_arrives(question: Question) -> None:
    line = encode_question(question)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_QUESTION
    assert decode_question(line) == question


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ControlError):
        decode_question(line)
    with pytest.raises(ControlError):
        decode_answer(line)


def asked(**members: Any) -> bytes:
    return encode_line({"v": 1, "do": "drain", "node": "a:1"} | members)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[" * 5000, "not JSON"),
        (b'{"v": 1, "do": ' + b"1" * 5000 + b"}", "not JSON"),
        (asked(v=2), "speaks version 1 of"),
        (asked(v=True), "speaks version 1 of"),
        (asked(do="restart"), "nothing is known of the word 'restart'"),
        (asked(do="reload"), "reload has no 'node'"),
        (asked(do="apps"), "apps has no 'node'"),
        (b'{"v":1,"do":"apps","app":5}', "an application's name is a text"),
        (b'{"v":1,"do":"rollout","surge":1}', "surge is neither"),
        (asked(streams=-1), "not between 0 and 86400"),
        (asked(while_connected=1), "while_connected is neither"),
        (asked(while_connected=True, wait_only=True), "not for wait_only"),
        (asked(while_connected=True, key="a"), "for all keys"),
        (asked(do=["drain"]), "nothing is known of the word"),
        (asked(force=True), "drain has no 'force'"),
        (asked(do="enable", timeout=1), "enable has no 'timeout'"),
        (asked(node=""), "drain needs a node"),
        (asked(node=7), "drain needs a node"),
        (asked(node="x" * 256), "drain needs a node"),
        (asked(node="\ud800"), "surrogates that stand for no byte"),
        (asked(key=""), "a key is a text of 1 to"),
        (asked(key="k" * (MAX_KEY + 1)), "a key is a text of 1 to"),
        (asked(timeout=-1), "not between 0 and 86400"),
        (asked(timeout=float("inf")), "not between 0 and 86400"),
        (asked(timeout=float("nan")), "not between 0 and 86400"),
        (asked(timeout=True), "timeout is no number"),
        (asked(timeout="5"), "timeout is no number"),
        (asked(wait_only=1), "wait_only is neither"),
        (asked(do="weight", weight=0), "no whole number from 1"),
        (asked(do="weight", weight=MAX_WEIGHT + 1), "no whole number from 1"),
        (asked(do="weight", weight=1.5), "no whole number from 1"),
        (asked(do="weight", weight=True), "no whole number from 1"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(line: bytes, reason: str) -> None:
    with pytest.raises(ControlError, match=reason):
        decode_question(line)


def test_answers() -> None:
    done = decode_answer(encode_done(nodes=2, running=1))
    assert (done["nodes"], done["running"], done["known"]) == (2, 1, True)
    with pytest.raises(ControlError, match=r"^there is no node a:1$"):
        decode_answer(encode_refusal("there is no node a:1"))
    assert decode_answer(b'{"node": {"state": "ready"}}')["node"] == {"state": "ready"}


@pytest.mark.parametrize(
    "line", [b"{}", b'{"ok": true}', b'{"ok": true, "nodes": true, "running": 0, "known": true}']
)
def test_what_is_no_answer(line: bytes) -> None:
    with pytest.raises(ControlError, match="no answer of a router"):
        decode_answer(line)


def test_the_longest_node_fits_an_answer() -> None:
    worst = b"\xff".decode("utf-8", "surrogateescape")
    node = {"table": worst * 255, "key": worst * 255, "node": worst * 255, "more": "x" * 1000}
    assert len(encode_line({"node": node})) < MAX_ANSWER
