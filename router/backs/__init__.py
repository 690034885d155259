"""What nodes speak: requests to bytes. No I/O."""
