"""A recovery plan as its editor has it: parsed from the form, changed by the editor's buttons, saved as wave specs.

A wave keeps its key while it moves, so that names of fields, focus and dependencies survive.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.http import QueryDict

from contract.names import name_key
from plans.models import OnFailure, RecoveryPlan
from plans.services import Targets, WaveSpec
from protection.models import ProtectionGroup, ServerAssignment

KEY = re.compile(r"[0-9a-z]{1,6}")
MOST_WAVES = 100


@dataclass
class WaveDraft:
    """One wave of the form. `typed` is a group that was named and not added yet; `needs` holds keys of waves."""

    key: str
    name: str = ""
    description: str = ""
    groups: list[uuid.UUID] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    pause: bool = False
    on_failure: str = OnFailure.STOP
    typed: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of_form(cls, data: QueryDict, key: str) -> "WaveDraft":
        return cls(
            key,
            data.get(f"w-{key}-name", ""),
            data.get(f"w-{key}-description", ""),
            _uuids(data.getlist(f"w-{key}-group")),
            list(dict.fromkeys(data.getlist(f"w-{key}-server"))),
            list(dict.fromkeys(data.getlist(f"w-{key}-needs"))),
            f"w-{key}-pause" in data,
            data.get(f"w-{key}-failure", OnFailure.STOP),
            data.get(f"w-{key}-typed", "").strip(),
        )


def _minutes(target: int | None) -> str:
    return "" if target is None else str(target)


def _uuids(texts: Iterable[str]) -> list[uuid.UUID]:
    """Those texts that are ids; a form of ours sends no others."""
    found = []
    for text in texts:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


@dataclass
class PlanDraft:
    """The whole form. `notes` say what a button changed beyond what was asked; `focus` is the field to go on with."""

    name: str = ""
    description: str = ""
    version: int | None = None
    rto: str = ""
    rpo: str = ""
    waves: list[WaveDraft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    focus: str = ""

    @classmethod
    def of_form(cls, data: QueryDict) -> "PlanDraft":
        keys = [key for key in dict.fromkeys(data.getlist("wave")) if KEY.fullmatch(key)]
        version = data.get("version", "")
        return cls(
            data.get("name", ""),
            data.get("description", ""),
            int(version) if version.isdecimal() and len(version) < 10 else None,
            data.get("rto", "").strip(),
            data.get("rpo", "").strip(),
            [WaveDraft.of_form(data, key) for key in keys[:MOST_WAVES]],
        )

    @classmethod
    def of_plan(cls, plan: RecoveryPlan) -> "PlanDraft":
        waves = plan.waves.prefetch_related("servers", "group_links", "depends_on")
        return cls(
            plan.name,
            plan.description,
            plan.version,
            _minutes(plan.rto_minutes),
            _minutes(plan.rpo_minutes),
            [
                WaveDraft(
                    str(wave.number),
                    wave.name,
                    wave.description,
                    [link.group_id for link in wave.group_links.all()],
                    [server.source_server_id for server in wave.servers.all()],
                    [str(each.number) for each in wave.depends_on.all()],
                    wave.pause_before,
                    wave.on_failure,
                )
                for wave in waves
            ],
        )

    def place(self, key: str) -> int:
        """Where a wave stands; ValueError for one that is not there."""
        return [wave.key for wave in self.waves].index(key)

    def do(self, command: str) -> None:
        """What a button of the editor does; an unknown one does nothing."""
        verb, _, rest = command.partition(":")
        key, _, argument = rest.partition(":")
        if verb == "add":
            self._add()
        elif key in {wave.key for wave in self.waves}:
            at = self.place(key)
            if verb == "remove":
                self._remove(at)
            elif verb in ("up", "down"):
                self._move(at, -1 if verb == "up" else 1)
            elif verb == "drop":
                self._drop(self.waves[at], argument)
        self._tidy()

    def _add(self) -> None:
        taken = {wave.key for wave in self.waves}
        key = next(str(number) for number in range(MOST_WAVES * 10) if str(number) not in taken)
        if len(self.waves) < MOST_WAVES:
            self.waves.append(WaveDraft(key))
            self.focus = f"w-{key}-name"

    def _remove(self, at: int) -> None:
        gone = self.waves.pop(at)
        self.notes.append(f"Wave {at + 1}{_named(gone)} was taken out. Nothing is changed until you save.")
        self.focus = "add-wave"

    def _move(self, at: int, by: int) -> None:
        to = at + by
        if not 0 <= to < len(self.waves):
            return
        self.waves.insert(to, self.waves.pop(at))
        wave = self.waves[to]
        self.notes.append(f"Wave {at + 1}{_named(wave)} is now wave {to + 1}.")
        at_end = to == (0 if by < 0 else len(self.waves) - 1)
        verb = "up" if (by < 0) != at_end else "down"
        self.focus = f"{verb}-{wave.key}"

    def _drop(self, wave: WaveDraft, text: str) -> None:
        for group_id in _uuids([text]):
            wave.groups = [each for each in wave.groups if each != group_id]
            self.focus = f"w-{wave.key}-typed"

    def _tidy(self) -> None:
        """Take away what the order no longer allows, and say so."""
        keys = [wave.key for wave in self.waves]
        for at, wave in enumerate(self.waves):
            later = [key for key in wave.needs if key in keys[at:]]
            if later:
                numbers = ", ".join(str(keys.index(key) + 1) for key in later)
                self.notes.append(f"Wave {at + 1} no longer needs wave {numbers}, which comes later now.")
            wave.needs = [key for key in wave.needs if key in keys[:at]]
            if wave.pause and at == 0:
                wave.pause = False
                self.notes.append("The pause before the first wave is gone: there is nothing to wait for yet.")

    def settle_groups(self) -> bool:
        """Add the groups that were typed, with their free servers; drop servers of no group. True if any was typed."""
        typed = {name_key(wave.typed) for wave in self.waves if wave.typed}
        found = {each.name_key: each for each in ProtectionGroup.objects.filter(name_key__in=typed)}
        ids = {key for wave in self.waves for key in wave.groups} | {each.pk for each in found.values()}
        homes = dict(ServerAssignment.objects.filter(group__in=ids).values_list("source_server_id", "group_id"))
        for at, wave in enumerate(self.waves):
            groups = set(wave.groups)
            wave.servers = [each for each in wave.servers if homes.get(each) in groups]
            if wave.typed:
                self._add_group(at, wave, found.get(name_key(wave.typed)), homes)
        return bool(typed)

    def _add_group(self, at: int, wave: WaveDraft, group: ProtectionGroup | None, homes: dict[str, uuid.UUID]) -> None:
        self.focus = f"w-{wave.key}-typed"
        if group is None:
            wave.errors["typed"] = [f"There is no protection group named “{wave.typed}”."]
            return
        wave.typed = ""
        if group.pk not in wave.groups:
            taken = {each for other in self.waves for each in other.servers}
            free = [each for each, home in homes.items() if home == group.pk and each not in taken]
            wave.groups.append(group.pk)
            wave.servers += free
            self.notes.append(
                f"“{group.name}” was added to wave {at + 1} with {len(free)} server{'' if len(free) == 1 else 's'}."
            )

    def targets(self) -> Targets:
        """The targets as the service takes them; what is no number is refused by it as one that cannot be."""
        return Targets(rto_minutes=_target(self.rto), rpo_minutes=_target(self.rpo))

    def specs(self) -> Sequence[WaveSpec]:
        """The waves as the service takes them."""
        return [
            WaveSpec(
                name=wave.name,
                group_ids=wave.groups,
                server_ids=wave.servers,
                description=wave.description,
                depends_on=sorted(self.place(key) for key in wave.needs),
                pause_before=wave.pause,
                on_failure=wave.on_failure,
            )
            for wave in self.waves
        ]


def _target(text: str) -> int | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1


def _named(wave: WaveDraft) -> str:
    return f", {wave.name}," if wave.name else ""


def differences(theirs: PlanDraft, mine: PlanDraft) -> list[str]:
    """How a plan that was saved meanwhile differs from what stands in the form, in words."""
    found = []
    if theirs.name != mine.name.strip():
        found.append(f"Name: theirs is “{theirs.name}”, yours is “{mine.name.strip()}”.")
    if theirs.description != mine.description.strip():
        found.append(f"Description: theirs is “{theirs.description}”, yours is “{mine.description.strip()}”.")
    for label, one, other in (("RTO", theirs.rto, mine.rto), ("RPO", theirs.rpo, mine.rpo)):
        if one != other:
            found.append(f"{label}: theirs is {one or 'empty'}, yours is {other or 'empty'}.")
    if len(theirs.waves) != len(mine.waves):
        found.append(f"Waves: theirs has {len(theirs.waves)}, yours has {len(mine.waves)}.")
    for at, (their, my) in enumerate(zip(theirs.waves, mine.waves, strict=False)):
        found += [f"Wave {at + 1}: {text}" for text in _wave_differences(theirs, their, mine, my)]
    return found or ["Both are the same: nothing is lost, whichever you keep."]


def _wave_differences(theirs: PlanDraft, their: WaveDraft, mine: PlanDraft, my: WaveDraft) -> Iterable[str]:
    if their.name != my.name.strip():
        yield f"theirs is named “{their.name}”, yours “{my.name.strip()}”."
    if their.description != my.description.strip():
        yield f"theirs is described as “{their.description}”, yours as “{my.description.strip()}”."
    if set(their.servers) != set(my.servers):
        only = len(set(their.servers) - set(my.servers)), len(set(my.servers) - set(their.servers))
        yield (
            f"theirs has {len(their.servers)} servers, yours {len(my.servers)};"
            f" {only[0]} only theirs, {only[1]} only yours."
        )
    if set(their.groups) != set(my.groups):
        yield "the protection groups differ."
    if their.pause != my.pause:
        one, other = ("theirs", "yours") if their.pause else ("yours", "theirs")
        yield f"{one} pauses before it, {other} does not."
    if their.on_failure != my.on_failure:
        yield f"on failure, theirs says “{_failure(their)}”, yours “{_failure(my)}”."
    if {theirs.place(key) for key in their.needs} != {mine.place(key) for key in my.needs}:
        yield "the waves that it depends on differ."


def _failure(wave: WaveDraft) -> str:
    return dict(OnFailure.choices).get(wave.on_failure, wave.on_failure)
