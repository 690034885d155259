"""The operator's hands: what is in the tables, and nodes that are drained, enabled and weighed."""
