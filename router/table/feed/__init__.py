"""Feed: the table and what belongs to it, from the process that decides to those that hold copies."""
