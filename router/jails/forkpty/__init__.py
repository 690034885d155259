"""forkpty router: a program on a pseudo-terminal for each connection."""
