"""Version of the distribution, and how it was built."""

import os

__version__ = "0.1.0"


def build() -> str:
    """Return ``compiled`` or ``plain``: whether the modules on a request's way are C extensions."""
    # Looked for, not imported: only the version may be wanted.
    directory = os.path.join(os.path.dirname(__file__), "router", "net")
    names = os.listdir(directory)
    return (
        "compiled" if any(n.startswith("link.") and n.endswith(".so") for n in names) else "plain"
    )
