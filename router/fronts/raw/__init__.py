"""The raw front: clients of any protocol, whose bytes pass as they come."""
