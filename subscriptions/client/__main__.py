"""Entry point of ``python -m uwsgi_router.subscriptions.client``: the command."""

import sys

from uwsgi_router.subscriptions.client.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
