"""One request's way: session, flows, attempts, and the gateway that owns them."""
