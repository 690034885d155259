"""Client protocols: connections that read requests and write answers."""
