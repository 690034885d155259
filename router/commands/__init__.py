"""What the command line can start: one module per command."""
