"""How names are kept and compared: as typed, but unique by their casefolded NFC form."""

import unicodedata

LONGEST = 512


def name_key(name: str) -> str:
    """The form in which two names that a person takes for the same are equal. No name is as long as what is cut off,
    and to put many accents of one letter in order takes the square of their number."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()[:LONGEST]).casefold())
