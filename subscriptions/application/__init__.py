"""Supervised application: copies of a program, started, announced, rolled out, drained and stopped.

It needs nothing but ``protocol``, the announcing client and the standard library. ``machine`` decides, over events and
``now``; ``loop`` hears of signals and ends of processes. ``shell`` carries out what is decided for one application,
``supervisor`` has all of them and the router before them; ``subscribed`` has the only program of ``subscribe``.
"""
