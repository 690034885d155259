"""The options page of the docs: ``python -m uwsgi_router.router.config.page > docs/options.md``."""

import sys
from collections.abc import Iterator

from uwsgi_router.router.config import app, table, unsupported
from uwsgi_router.router.config.help import described
from uwsgi_router.router.config.option import Option, Provenance, Standing

INTRODUCTION = """\
# Options

Made from the option table by `python -m uwsgi_router.router.config.page > docs/options.md`; do not edit.

uwsgi-router takes uWSGI's options, on the command line (`--name value`), in ini files (`name = value` below `[uwsgi]`)
and from the environment (`UWSGI_NAME=value`). Every option that uWSGI 2.0.31 knows is in one of four classes;
`uwsgi-router check FILE` shows them for a file, `uwsgi-router --help NAME` for one option.

| class | what happens |
|---|---|
| works | it does what it says |
| true by design | accepted silently: it is so anyway, or there is nothing here for it to act on |
| not yet | accepted, with a warning that says what happens instead; refused where that would be unsafe |
| application server's | refused: the file expects us to run an application |

Names in **bold** are ours, those in *italics* come from uWSGI's unreleased version: uWSGI 2.0.31 refuses both on its
command line, and ignores them in files.

Switches are on for `true`, `on`, `yes`, `1` and nothing, and off for `false`, `off`, `no` and `0`; anything else is
refused. Times are seconds, and may have decimals. Sizes are bytes. Of an option that is not marked *repeatable* the
last occurrence counts. A *node* is an application server, a *key* the host that it serves: see the
[glossary](glossary.md).
"""


APPLICATIONS = """\
## Applications

Words of `[app NAME]` sections, and with `--` options of `uwsgi-router serve`: see [copies of a server](serve.md).
`http`, `stop-timeout`, `control-socket` and `pidfile` are options of the command only; a file has them in `[uwsgi]`
(there `reload-mercy` is the time of a stop). Times may have a unit (`500ms`, `30s`, `5m`, `6h`, `1d`).
"""

_MARKS = {Provenance.UWSGI: "", Provenance.UNRELEASED: "*", Provenance.OURS: "**"}


def page() -> str:
    """Return the whole page, in Markdown."""
    parts = [INTRODUCTION]
    groups: dict[str, list[Option]] = {}
    for option in table.spelled_out():
        groups.setdefault(option.group, []).append(option)
    for group, options in groups.items():
        parts.append(f"## {group[0].upper()}{group[1:]}\n")
        parts.append("| option | value | what it does | class |\n|---|---|---|---|")
        parts.append("\n".join(_row(option) for option in options) + "\n")
    parts.append(APPLICATIONS)
    parts.append("| option | value | what it does | class |\n|---|---|---|---|")
    parts.append("\n".join(_row(option) for option in app.words_of_serve()) + "\n")
    for standing in (Standing.BY_DESIGN, Standing.NOT_YET, Standing.APPLICATION):
        parts.append(f"## Others: {standing.value}\n")
        parts.append("\n".join(_topics(standing)))
    return "\n".join(parts)


def _row(option: Option) -> str:
    mark = _MARKS[option.origin]
    shown = ", ".join(f"{mark}`{name}`{mark}" for name in option.names)
    if option.short:
        shown += f", `-{option.short}`"
    value = f"`{option.kind.shown}`" if option.kind.shown else "switch"
    if option.repeatable:
        value += ", repeatable"
    return f"| {shown} | {_cell(value)} | {_cell(option.help)} | {_cell(described(option))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _topics(standing: Standing) -> Iterator[str]:
    for topic in unsupported.topics():
        if topic.standing is standing:
            outcome = ""
            if standing is Standing.NOT_YET:
                outcome = "Refused: " if topic.refused else "Accepted with a warning: "
            listed = ", ".join(f"`{option.name}`" for option in topic.options)
            yield f"### {topic.title[0].upper()}{topic.title[1:]}\n\n{outcome}{topic.reason}.\n\n{listed}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
