"""Tolerant JSON: uWSGI's statistics have commas before brackets, and strings that nothing escapes."""

import json
import re
from typing import Any, Final

#: A string of uWSGI ends at a quote that one of these follows; or white space, and then one of these.
_STRING_END: Final = re.compile(r'"(?=\s*[,:\]}])')
_COMMA: Final = re.compile(r",\s*(?=[\]}])")
_PART: Final = re.compile(r'[^",]+')


def loads(text: str) -> Any:
    """Read a document; where it is no JSON, as uWSGI means it.

    Raises:
        ValueError: it is nothing of that kind.
    """
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        pass
    try:
        return json.loads(repaired(text), strict=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def repaired(text: str) -> str:
    """Return the text with its strings escaped, and without commas before brackets.

    Backslashes stand for themselves, as uWSGI writes them.
    """
    parts: list[str] = []
    place = 0
    while place < len(text):
        if text[place] == '"':
            end = _STRING_END.search(text, place + 1)
            if end is None:
                raise ValueError(f"a string does not end (character {place})")
            parts.append(json.dumps(text[place + 1 : end.start()]))
            place = end.end()
        elif text[place] == ",":
            found = _COMMA.match(text, place)
            if found is None:
                parts.append(",")
                place += 1
            else:
                place = found.end()
        else:
            found = _PART.match(text, place)
            assert found is not None
            parts.append(found[0])
            place = found.end()
    return "".join(parts)
