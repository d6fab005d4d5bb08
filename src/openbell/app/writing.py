"""Files that people asked for: reports, pictures, exports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openbell.market.errors import StoreError


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Make the folder a file goes into, and say which file it was if writing it fails.

    Raises
    ------
    StoreError
        If the operating system does not let us, or there is no room.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"{file} cannot be written: {error.strerror or error}",
            hint="name a place that you may write to and that has room",
        ) from error
