"""Master process: sockets, workers, signals, reload; synchronous, and without asyncio."""
