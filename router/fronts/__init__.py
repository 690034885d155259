"""What clients speak: bytes to requests, failures to bytes. No I/O."""
