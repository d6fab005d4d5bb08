"""Every error this package raises on purpose.

OpenbellError
├── BadDataError            the data breaks a rule; trying again will not help
│   ├── UnorderedError      times do not increase
│   └── RejectedError       a file holds more bad rows than allowed; nothing was stored
├── UsageError              the call or command is wrong: unknown name, bad parameter
│   └── MissingExtraError   an optional part is not installed
├── NotRecordedError        nothing is stored for what was asked
├── StoreError              the store cannot do it: locked, damaged, unknown version
├── OutsideError            something outside failed; only adapters raise these
│   ├── UnavailableError    it did not answer; worth another try
│   └── RefusedError        it answered no; do not try again
├── ReplayError             the replay was driven in a way it does not allow
├── RunError                a run could not be carried out
│   └── ColumnError         a column function of a strategy cannot be compiled, or raised
└── CancelledError          somebody asked to stop
"""


class OpenbellError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    message
        What, which one: one line, no full stop.
    hint
        What to do next; empty when there is nothing to say.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadDataError(OpenbellError):
    """The data breaks a rule of its own kind, for instance a high below its low."""


class UnorderedError(BadDataError):
    """Times that must increase do not.

    Parameters
    ----------
    what
        The sequence, in words: "bar starts".
    index
        Position of the first item that does not come after the one before it.
    """

    def __init__(self, what: str, index: int) -> None:
        super().__init__(f"{what} must increase, but item {index} does not follow item {index - 1}")
        self.what = what
        self.index = index


class RejectedError(BadDataError):
    """A file holds more rejected rows than allowed; nothing of it was stored."""


class UsageError(OpenbellError):
    """The call is wrong: an unknown name, a parameter out of range, a wrong combination."""


class MissingExtraError(UsageError):
    """An optional part of openbell is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the optional part `{extra}`",
            hint=f"install it with: pip install 'openbell[{extra}]'",
        )
        self.extra = extra


class NotRecordedError(OpenbellError):
    """Nothing is stored for what was asked."""


class StoreError(OpenbellError):
    """The store cannot do what was asked: it is locked, damaged, or has no such version."""


class OutsideError(OpenbellError):
    """Something outside this process failed; only adapters raise its kinds."""


class UnavailableError(OutsideError):
    """It did not answer, or asked us to wait; worth another try."""


class RefusedError(OutsideError):
    """It answered no (bad key, unknown symbol); another try would get the same answer."""


class ReplayError(OpenbellError):
    """The replay was driven in a way it does not allow."""


class RunError(OpenbellError):
    """A run could not be carried out: no data, below the quality asked for, a bad config."""


class ColumnError(RunError):
    """A column function of a strategy cannot be compiled, or raised."""


class CancelledError(OpenbellError):
    """The work was stopped because somebody asked for it."""
