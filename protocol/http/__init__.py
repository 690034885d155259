"""HTTP/1 as bytes: parsers of heads and bodies, and heads for nodes."""
