"""Blocking calls run beside the loop, and nobody waits for them at the end."""

import subprocess
import sys
import threading

import pytest

from uwsgi_router.subscriptions.client.threads import in_thread


async def test_what_it_returns_comes_back() -> None:
    assert await in_thread(threading.current_thread) is not threading.current_thread()


async def test_what_it_raises_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def test_a_call_that_hangs_does_not_hold_up_the_programs_end() -> None:
    code = """if True:
        import asyncio, threading
        from uwsgi_router.subscriptions.client.threads import in_thread

        async def main():
            async with asyncio.timeout(0.05):
                await in_thread(threading.Event().wait)

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=20, check=False
    )
    assert b"TimeoutError" in ended.stderr
