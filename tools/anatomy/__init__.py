"""Anatomy of a request: a profile of where its time goes inside our router.

``python -m tools.anatomy [SCENARIO …]``; see :mod:`tools.anatomy.__main__`. CPU time says what a request
costs, and on a busy machine differs from run to run. What is counted beside it (system calls,
instructions, opcodes) hardly does: a change of the code is seen there first.
"""
