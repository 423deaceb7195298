"""How many of something, in a sentence for people. Pure."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`; `many` where that is no mere `s`."""
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"
