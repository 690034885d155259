"""HTTP/1 as bytes: heads, bodies, and what they become for a node."""
