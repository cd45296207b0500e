"""Numbers of things, as a person reads them."""


def counted(number: int, noun: str) -> str:
    """`1 server`, `5 servers`; for nouns that take an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
