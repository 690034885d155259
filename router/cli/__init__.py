"""The command uwsgi-router and its subcommands."""
