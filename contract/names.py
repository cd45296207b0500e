"""How names are kept and compared: as typed, but unique by their casefolded NFC form."""

import unicodedata


def name_key(name: str) -> str:
    """The form in which two names that a person takes for the same are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
