"""HTTP status codes that the way of every answer compares with, as numbers (RFC 9110 section 15).

To look up a member of ``HTTPStatus`` takes CPython 2,000 instructions, a twentieth of a whole request.
"""

from typing import Final

CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
NO_CONTENT: Final = 204
PARTIAL_CONTENT: Final = 206
BAD_REQUEST: Final = 400
UPGRADE_REQUIRED: Final = 426
