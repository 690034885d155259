"""Supervision of child processes by a program without an event loop of asyncio's."""
