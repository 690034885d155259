"""Stats documents, metrics, the control socket and the cache server."""
