"""The proxy engine: one request from a client to a node and back."""
