"""Real programs (uWSGI, nginx, our own command) as processes that tests start, watch and end."""
