"""A strict HTTP client, recording nodes and the vectors: what tests of the HTTP router look through."""
