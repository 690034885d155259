"""Supervised application: copies of a program, started, announced, rolled out, drained and stopped.

It needs nothing but ``protocol``, the announcing client and the standard library. ``machine`` decides, over events and
``now``; ``shell`` carries out what it decides for one application; ``supervisor`` is the loop of all applications and
of the router before them.
"""
