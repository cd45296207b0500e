"""A document as text: YAML, of which JSON is a part, read into plain values that know their lines.

Read by the core rules of YAML 1.2, so that `no` is a word; anchors, tags and two keys of one name are refused: what
one parser would read differently from another is never guessed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from contract.errors import Invalid

DEEPEST = 32
WIDTH = 120
_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")


class _Loader(yaml.CSafeLoader):
    """The C parser, of which only events and nodes are used."""


@dataclass
class Lines:
    """Where each value stands, from 1, by its path such as `[3].spec.waves[0].serverIds`."""

    of: dict[str, int] = field(default_factory=dict)

    def at(self, path: str) -> int | None:
        """The line of a path, or of the nearest thing around it."""
        while path:
            if path in self.of:
                return self.of[path]
            path = path[: max(path.rfind("."), path.rfind("["))]
        return self.of.get("")


def read(text: str) -> tuple[list[object], Lines]:
    """The documents in a text. Raises Invalid with the line of what cannot be read."""
    lines = Lines()
    found: list[object] = []
    try:
        _refuse_oddities(text)
        for node in yaml.compose_all(text, Loader=_Loader):
            for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
                found.append(_value(each, f"[{len(found)}]", lines))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _unreadable(f"{where}{error.problem or error.context}.") from None
    except yaml.reader.ReaderError as error:
        raise _unreadable(f"Character {error.position + 1} is one that no text has: {error.reason}.") from None
    return found, lines


def _refuse_oddities(text: str) -> None:
    """Before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise _unreadable(f"Line {line}: anchors, aliases and tags are not possible. Write it out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _unreadable(f"Line {line}: nested more than {DEEPEST} levels deep.")


def _unreadable(reason: str) -> Invalid:
    return Invalid({"document": [f"It cannot be read. {reason}"]})


def _value(node: yaml.Node, path: str, lines: Lines) -> Any:
    lines.of[path] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, f"{path}[{number}]", lines) for number, each in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _unreadable(f"Line {line}: a name is expected before the colon.")
        if key.value in found:
            raise _unreadable(f"Line {line}: {key.value[:64]} stands there twice.")
        found[key.value] = _value(value, f"{path}.{key.value}", lines)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text


def as_yaml(objects: Sequence[Mapping[str, Any]]) -> str:
    """The document for people."""
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": WIDTH, "default_flow_style": False}
    return str(yaml.dump(list(objects), Dumper=yaml.CSafeDumper, **options))


def as_json(objects: Sequence[Mapping[str, Any]]) -> str:
    """The document for programs: an object a line, so that a change is a line of its own."""
    lines = ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in objects)
    return f"[\n{lines}\n]\n" if lines else "[]\n"
