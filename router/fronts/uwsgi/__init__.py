"""The uwsgi front: web servers that speak uwsgi (fastrouter)."""
