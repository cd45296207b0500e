"""What labels of plans and groups may be, and how they are written: `key=value`, several with commas between them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from contract.errors import MOST_FAULTS, Invalid
from contract.names import hidden_fault

KEY_MAX, VALUE_MAX, MOST = 63, 255, 20

Label = tuple[str, str]
# A key, and the value that it must have; None for any.
Wanted = tuple[str, str | None]


def trimmed(labels: Iterable[Label]) -> list[Label]:
    """As they are stored: without blanks around them, by key."""
    return sorted((key.strip(), value.strip()) for key, value in labels)


def faults(labels: Sequence[Label]) -> list[str]:
    """What is wrong with trimmed labels, each with its key."""
    if len(labels) > MOST:
        return [f"At most {MOST} labels; this has {len(labels)}."]
    found = [fault for label in labels if (fault := _fault(*label))]
    twice = [key for key, count in Counter(key for key, _ in labels).items() if count > 1]
    return [*found, *(f"“{key[:KEY_MAX]}” is given more than once." for key in twice)][: MOST_FAULTS + 1]


def _fault(key: str, value: str) -> str:
    shown = key[:KEY_MAX]
    if not key:
        return "A label needs a key: write key=value."
    if len(key) > KEY_MAX:
        return f"The key “{shown}…” has {len(key)} characters; at most {KEY_MAX}."
    if len(value) > VALUE_MAX:
        return f"The value of “{shown}” has {len(value)} characters; at most {VALUE_MAX}."
    if "=" in key:
        return f"The key “{shown}” has an equals sign."
    if "," in key + value:
        return f"The label “{shown}” has a comma, which stands between labels."
    if fault := hidden_fault(key) or hidden_fault(value):
        return f"The label “{shown}”: {fault}"
    return ""


def parsed(text: str) -> list[Label]:
    """Labels as people write them in one line; a key alone has an empty value."""
    return [(key.strip(), value.strip()) for key, _, value in (each.partition("=") for each in _split(text))]


def written(labels: Mapping[str, str] | Iterable[Label]) -> str:
    """The same the other way round."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return ", ".join(f"{key}={value}" if value else key for key, value in pairs)


def wanted(texts: Iterable[str]) -> list[Wanted]:
    """What a filter asks for: `key=value`, or `key` for any value. Raises Invalid."""
    found = [_wanted(text) for text in texts]
    if len(found) > MOST:
        raise Invalid({"label": [f"At most {MOST} labels; this has {len(found)}."]})
    return found


def _wanted(text: str) -> Wanted:
    key, has_value, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if fault := _fault(key, value):
        raise Invalid({"label": [fault]})
    return key, value if has_value else None


def searched(texts: Iterable[str]) -> tuple[list[Wanted], list[str]]:
    """What the filter of a page asks for, and what is wrong with the rest, which filters nothing."""
    found, wrong = list[Wanted](), list[str]()
    for text in (part for each in texts for part in _split(each)):
        try:
            found.append(_wanted(text))
        except Invalid as refusal:
            wrong += refusal.fields["label"]
    if len(found) > MOST:
        wrong.append(f"At most {MOST} labels; this has {len(found)}.")
    return found[:MOST], wrong


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part.strip()]
