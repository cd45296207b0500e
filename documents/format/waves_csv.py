"""Waves as a table, a server a line: `plan,wave,waveName,group,region,server,optional,pauseBefore`.

Waves are counted from 1, flags are yes or no, a server is an id or a host name that only one has, and empty for a group
of which the wave has none. What the table does not say of a plan, a wave or a group stays as it is; waves that it does
not have go. Of an existing plan, a wave is the one of its name, so that what the table does not say moves with it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.errors import Invalid
from contract.names import name_key
from documents.format.kinds import DEFAULTS, OF_WAVE, Item, Key, Kind, Spec
from documents.format.text import Lines
from drsorch_verify.tables import FORMULA, safe
from protection.inventory.named_servers import Servers

COLUMNS = ("plan", "wave", "waveName", "group", "region", "server", "optional", "pauseBefore")
NAMED = ("plan", "wave", "group")
NEEDED = (*NAMED, "server")
FLAGS = ("optional", "pauseBefore")  # where there is no such column, they stay as they are
SAID = tuple(each for each in COLUMNS if each not in FLAGS)
_YES_OR_NO = {True: "yes", False: "no"}
_FLAGS = {"yes": True, "no": False, "": False, "true": True, "false": False}
_MADE_SAFE = re.compile(rf"((?:\A|[;\uff1b])[\s\"']*)'(?=[{FORMULA}])")  # what `safe` writes


def is_table(text: str) -> bool:
    """Whether a text is such a table: its first line names the columns, in any order."""
    first = text.lstrip("\ufeff \r\n").partition("\n")[0].lower()
    cells = {each.strip(' "\r') for each in first.split(_delimiter(first))}
    return {"plan", "wave"} <= cells or first.startswith(("plan,", '"plan",'))


def _delimiter(first: str) -> str:
    """What stands between the columns: spreadsheets of some countries write semicolons, and copied cells have tabs."""
    return next((each for each in ",;\t" if each in first), ",")


def as_csv(current: Mapping[Key, Item]) -> str:
    """All waves of all plans."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    homes = {server: item for item in current.values() if item.kind is Kind.GROUP for server in _servers(item)}
    for item in current.values():
        for number, wave in enumerate(item.spec["waves"] if item.kind is Kind.PLAN else (), 1):
            for name in wave["protectionGroups"]:
                home = current[Kind.GROUP, name_key(name)]
                of_group = [each for each in wave["serverIds"] if homes[each] is home]
                for server in of_group or [""]:
                    names = (safe(each) for each in (item.name, str(number), wave["waveName"], home.name))
                    flags = (server in wave["optionalServerIds"], wave["pauseBeforeWave"])
                    writer.writerow([*names, home.spec["region"], server, *(_YES_OR_NO[each] for each in flags)])
    return out.getvalue()


@dataclass(frozen=True)
class Before:
    """A plan's waves as they are: `was` says which of them each wave of the table is, `now` the other way round."""

    waves: Sequence[Spec]
    was: Mapping[int, int]
    now: Mapping[int, int]
    optional: frozenset[str]

    @classmethod
    def of(cls, waves: Sequence[Spec], names: Mapping[int, str]) -> "Before":
        """By their names in the table; one whose name is new, or not alone, is that of its number."""
        before, after = Counter(each["waveName"] for each in waves), Counter(names.values())
        places = {each["waveName"]: place for place, each in enumerate(waves)}
        was = {number: places[name] for number, name in names.items() if before[name] == after[name] == 1}
        left = set(range(len(waves))) - set(was.values())
        was |= {number: number for number in names if number not in was and number in left}
        optional = frozenset(server for each in waves for server in each["optionalServerIds"])
        return cls(waves, was, {place: number for number, place in was.items()}, optional)

    def wave(self, number: int) -> Spec:
        """Empty for a new one."""
        return self.waves[self.was[number]] if number in self.was else {}


def _servers(item: Item) -> list[str]:
    servers: list[str] = item.spec["sourceServerIds"]
    return servers


@dataclass
class Table:
    """The objects that a table stands for, made line by line."""

    current: Mapping[Key, Item]
    servers: Servers = field(default_factory=Servers)
    faults: dict[str, list[str]] = field(default_factory=dict)
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    waves: dict[str, dict[int, Spec]] = field(default_factory=dict)
    names: dict[str, dict[int, str]] = field(default_factory=dict)
    before: dict[str, "Before"] = field(default_factory=dict)
    lines: Lines = field(default_factory=Lines)

    def read(self, text: str) -> list[object]:
        """The objects, groups first. Raises Invalid with the line and column of what is wrong."""
        rows = [(line, row) for line, row in _rows(text) if not self._fault(line, row)]
        for _line, row in rows:
            names = self.names.setdefault(name_key(row["plan"]), {})
            names[int(row["wave"]) - 1] = names.get(int(row["wave"]) - 1) or row["waveName"]
        for line, row in rows:
            self._add(line, row)
        for plan, waves in self.waves.items():
            self._number(plan, waves)
        if self.faults:
            raise Invalid(self.faults)
        found = sorted(self.objects.items(), key=lambda each: list(Kind).index(each[0][0]))
        for number, (key, each) in enumerate(found):
            self.lines.of[f"[{number}]"] = self.lines.of.pop(str(key), 1)
            if key[0] is Kind.GROUP and each["spec"]["follow"]:
                del each["spec"]["sourceServerIds"]  # its match says which
            if key[0] is Kind.PLAN:
                before, new = self._before(key[1]), sorted(self.waves[key[1]].items())
                each["spec"]["waves"] = [_in_order(wave, before.wave(number)) for number, wave in new]
        return [each for _, each in found]

    def _say(self, line: int, column: str, text: str) -> None:
        self.faults.setdefault(f"line {line}, {column}", []).append(text)

    def _fault(self, line: int, row: Mapping[str, str]) -> bool:
        known = len(self.faults)
        for column in NAMED:
            if not row[column]:
                self._say(line, column, "Is required.")
        if row["wave"] and not re.fullmatch("[1-9][0-9]{0,3}", row["wave"]):
            self._say(line, "wave", "The number of the wave is expected, from 1.")
        for column in FLAGS:
            if row.get(column, "").lower() not in _FLAGS:
                self._say(line, column, "Use yes or no.")
        return len(self.faults) > known

    def _add(self, line: int, row: Mapping[str, str]) -> None:
        group = self._object(Kind.GROUP, row["group"], line)
        region = group["spec"].setdefault("region", row["region"])
        if not region or (row["region"] and row["region"] != region):
            text = f"“{row['group']}” is in {region}." if region else f"“{row['group']}” is new: say its region."
            self._say(line, "region", text)
            return
        server, why = self.servers.meant(row["server"], region=region) if row["server"] else ("", "")
        if why:
            self._say(line, "server", why)
            return
        servers = group["spec"]["sourceServerIds"]
        if server and server not in servers and group["spec"]["follow"]:
            self._say(line, "server", f"“{row['group']}” follows its match, which does not find it.")
            return
        servers += [server] if server and server not in servers else []
        self._place(line, row, server)

    def _place(self, line: int, row: Mapping[str, str], server: str) -> None:
        self._object(Kind.PLAN, row["plan"], line)
        before = self._before(name_key(row["plan"]))
        waves = self.waves.setdefault(name_key(row["plan"]), {})
        number = int(row["wave"]) - 1
        if number not in waves:
            waves[number] = self._wave(before, number, row)
        wave = waves[number]
        pause = _FLAGS[row["pauseBefore"].lower()] if "pauseBefore" in row else wave["pauseBeforeWave"]
        for column, name, value in (
            ("waveName", "waveName", row["waveName"]),
            ("pauseBefore", "pauseBeforeWave", pause),
        ):
            if value != wave[name] and not (column == "waveName" and not value):
                self._say(line, column, f"Wave {number + 1} of “{row['plan']}” says something else in another line.")
        if row["group"] not in wave["protectionGroups"]:
            wave["protectionGroups"].append(row["group"])
        if server:
            wave["serverIds"].append(server)
        if server and (_FLAGS[row["optional"].lower()] if "optional" in row else server in before.optional):
            wave["optionalServerIds"].append(server)

    def _before(self, plan: str) -> "Before":
        if plan not in self.before:
            self.before[plan] = Before.of(self.objects[Kind.PLAN, plan]["spec"]["waves"], self.names[plan])
        return self.before[plan]

    def _wave(self, before: "Before", number: int, row: Mapping[str, str]) -> Spec:
        kept = before.wave(number) or OF_WAVE
        name = row["waveName"] or kept.get("waveName") or f"Wave {number + 1}"
        pause = _FLAGS[row["pauseBefore"].lower()] if "pauseBefore" in row else kept["pauseBeforeWave"]
        empty: Spec = {"protectionGroups": [], "serverIds": [], "optionalServerIds": []}
        needs = sorted(before.now[each] for each in kept["dependsOnWaves"] if each in before.now)
        return {**kept, "waveName": name, "pauseBeforeWave": pause, "dependsOnWaves": needs, **empty}

    def _object(self, kind: Kind, name: str, line: int) -> dict[str, Any]:
        """As it is, or new; the same for each line."""
        key = kind, name_key(name)
        if key not in self.objects:
            item = self.current.get(key)
            needed: Spec = {"sourceServerIds": []} if kind is Kind.GROUP else {"waves": []}
            spec = {**(item.spec if item else {**DEFAULTS[kind], **needed})}
            if kind is Kind.GROUP:
                spec["sourceServerIds"] = [*spec["sourceServerIds"]]
                if spec["match"] is None:
                    del spec["match"]
            self.objects[key] = {"kind": str(kind), "metadata": {"name": item.name if item else name}, "spec": spec}
            self.lines.of[str(key)] = line
        return self.objects[key]

    def _number(self, plan: str, waves: Mapping[int, Spec]) -> None:
        missing = [number + 1 for number in range(max(waves) + 1) if number not in waves]
        if missing:
            name = self.objects[Kind.PLAN, plan]["metadata"]["name"]
            self._say(self.lines.of[str((Kind.PLAN, plan))], "wave", f"“{name}” has no wave {missing[0]}.")


def _in_order(wave: Spec, old: Spec) -> Spec:
    """A table is by groups: where a wave has the same as before, it has it in the same order."""
    lists = {name: value for name, value in wave.items() if isinstance(value, list)}
    same = {name: old[name] for name in lists if old and sorted(lists[name]) == sorted(old[name])}
    return {**wave, **same}


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line with its number, every column there, trimmed."""
    between = _delimiter(text.lstrip("\ufeff \r\n").partition("\n")[0])
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True, delimiter=between)
    try:
        header: list[str] = []
        for row in reader:
            values = [_MADE_SAFE.sub(r"\1", each.strip()) for each in row]
            if not any(values):
                continue
            if not header:
                header = _header(values, reader.line_num)
            elif len(values) > len(header):
                raise _unreadable(reader.line_num, f"It has {len(values)} columns; the first line names {len(header)}.")
            else:
                yield (
                    reader.line_num,
                    {**dict.fromkeys((*SAID, *header), ""), **dict(zip(header, values, strict=False))},
                )
    except csv.Error as error:
        raise _unreadable(reader.line_num, str(error)) from None


def _header(values: list[str], line: int) -> list[str]:
    spelled = {name.lower(): name for name in COLUMNS}
    header = [spelled.get(each.lower(), "") for each in values]
    wrong = [each for each, known in zip(values, header, strict=True) if not known]
    lacking = [each for each in NEEDED if each not in header]
    if wrong:
        raise _unreadable(line, f"There is no column {wrong[0][:64]!r}. Use {', '.join(COLUMNS)}.")
    if lacking:
        raise _unreadable(line, f"The column {lacking[0]} is required.")
    if len(set(header)) < len(header):
        raise _unreadable(line, "A column stands there twice.")
    return header


def _unreadable(line: int, reason: str) -> Invalid:
    return Invalid({"document": [f"The table cannot be read. Line {line}: {reason}"]})
