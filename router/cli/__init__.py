"""Command line of uwsgi-router: the command and its subcommands."""
