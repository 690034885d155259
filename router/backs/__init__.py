"""Node protocols: the head of a request in uwsgi or HTTP."""
