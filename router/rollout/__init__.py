"""Rollout of vassals: reloads what an Emperor runs behind routers, one after the other, without losing a request.

``machine.py`` decides and ``rollout.py`` carries out; statistics of real uWSGI and of this program say what is so.
"""
