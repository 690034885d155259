"""Sphinx's settings: what `make docs` builds. Nothing is fetched from elsewhere."""

project = "uwsgi-router"
copyright = "the authors of uwsgi-router; MIT licence"  # noqa: A001
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = "uwsgi-router"
html_copy_source = False

# Indented blocks are drawings and shell commands, not Python.
highlight_language = "none"
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
