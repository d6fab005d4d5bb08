"""Numbers of things, as people write them."""


def counted(count: int, one: str, many: str = "") -> str:
    """How many there are: the word for one, or for none and several (by default with an s).

    Examples
    --------
    >>> counted(1, "bar"), counted(0, "bar"), counted(1_200, "bar"), counted(2, "loss", "losses")
    ('1 bar', '0 bars', '1,200 bars', '2 losses')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
