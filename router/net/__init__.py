"""Sockets: where they come from (bound, inherited, shared), accepting on them, connections."""
