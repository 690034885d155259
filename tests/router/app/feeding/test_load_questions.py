"""Questions to the workers for their requests: answers are added up, and nobody is waited for in vain."""

import asyncio

from uwsgi_router.router.app.feeding.load_questions import LoadQuestion
from uwsgi_router.router.proxy.running import NodeLoad
from uwsgi_router.router.table.feed.parts import Worker

ONE, TWO = Worker(0, 1, 11), Worker(1, 1, 12)
PLACE = "example.com", "127.0.0.1:9"


async def test_answers_are_added_up() -> None:
    question = LoadQuestion(1, [ONE, TWO])
    question.answered(ONE, {PLACE: NodeLoad(2, 7.0, 1, 0), ("", "a"): NodeLoad(streams=4)})
    question.answered(ONE, {PLACE: NodeLoad(9, 9.0, 9, 9)})
    question.answered(TWO, {PLACE: NodeLoad(1, 3.0, 0, 5)})
    assert question.is_over
    expected = {PLACE: NodeLoad(3, 3.0, 1, 5), ("", "a"): NodeLoad(streams=4)}
    assert await question.wait() == expected


async def test_of_who_has_no_waiting_request_no_silence_counts() -> None:
    question = LoadQuestion(1, [ONE, TWO])
    question.answered(ONE, {PLACE: NodeLoad(streams=1)})
    question.answered(TWO, {PLACE: NodeLoad(1, 60.0)})
    assert await question.wait() == {PLACE: NodeLoad(1, 60.0, 1)}


async def test_who_has_left_is_not_waited_for() -> None:
    question = LoadQuestion(1, [ONE, TWO])
    waiting = asyncio.get_running_loop().create_task(question.wait())
    question.left(ONE)
    question.answered(TWO, {})
    assert await waiting == {}
    assert await LoadQuestion(2, []).wait() == {}


async def test_who_is_stuck_is_waited_for_shortly_and_the_next_question_is_another_one() -> None:
    question = LoadQuestion(1, [ONE, TWO])
    question.answered(TWO, {PLACE: NodeLoad(1, 3.0)})
    assert await question.wait(0.01) == {PLACE: NodeLoad(1, 3.0)}
    assert question.is_over
