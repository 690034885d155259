"""Where requests go: one class per way of finding a node."""
