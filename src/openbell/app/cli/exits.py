"""What a command's end means to the shell; the table stands in docs/cli.md and docs/errors.md."""

from openbell.market.errors import (
    BadDataError,
    CancelledError,
    OpenbellError,
    OutsideError,
    UsageError,
)

DONE = 0
FAILED = 1
WRONG_USAGE = 2
BAD_INPUT = 3
BELOW_THRESHOLD = 4
NOT_VERIFIED = 5
OUTSIDE = 6
INTERRUPTED = 130

_CODES: tuple[tuple[type[OpenbellError], int], ...] = (
    (UsageError, WRONG_USAGE),
    (BadDataError, BAD_INPUT),
    (OutsideError, OUTSIDE),
    (CancelledError, INTERRUPTED),
    (OpenbellError, FAILED),
)


def exit_code(error: OpenbellError) -> int:
    """The exit code of an error: that of its nearest ancestor in the tree."""
    return next(code for kind, code in _CODES if isinstance(error, kind))
