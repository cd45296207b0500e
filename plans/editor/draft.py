"""A recovery plan as its editor has it: parsed from the form, changed by the editor's buttons, saved as wave specs.

A wave keeps its key while it moves, so that names of fields, focus and dependencies survive.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import QueryDict

from contract.labels.rules import trimmed, written
from contract.names import name_key
from contract.rights import EVERYWHERE, Reach
from plans.editor.packed import unpacked
from plans.fields import PLAN, WAVE, Field, WaveSpec
from plans.forms import PlanForm, WaveForm
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup, ServerAssignment

KEY = re.compile(r"[0-9a-z]{1,6}")
MOST_WAVES = 100
NAME_MAX, COPY = 128, " (copy)"


class WaveDraft:
    """One wave of the form: new, as it was sent, or as it is stored. `typed` is a group that was named and not added
    yet; `needs` holds keys of waves, `opened` the groups of which somebody wants to see the servers, `shown` whether
    somebody wants to see the settings."""

    def __init__(
        self,
        key: str,
        data: QueryDict | None = None,
        row: Wave | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        initial = _related(row) if row else dict(initial or {})
        self.key, self.form = key, WaveForm(data, row, prefix=f"w-{key}", initial=initial)
        self.groups = _uuids(self._values("group"))
        self.servers = unpacked(self._values("server"))
        self.optional = unpacked(self._values("optional"))
        self.opened = _uuids(self._values("opened"))
        self.needs = self._values("needs")
        self.shown = bool(self.form["shown"].value())
        self.typed: str = (self.form["typed"].value() or "").strip()

    def _values(self, place: str) -> list[str]:
        found: list[str] = self.form.fields[place].clean(self.form[place].value())
        return found

    def copied(self, key: str) -> "WaveDraft":
        """A new wave that says the same of itself. It has no servers: one can be in one wave only."""
        said = {place: self.form[place].value() for place in self.form.fields}
        said |= {"name": f"{self.name[: NAME_MAX - len(COPY)]}{COPY}" if self.name else ""}
        said |= {"server": [], "optional": [], "opened": [str(each) for each in self.groups], "typed": "", "shown": "1"}
        return WaveDraft(key, initial=said)

    @property
    def name(self) -> str:
        value: str = self.form.given()["name"]
        return value


def _related(wave: Wave) -> dict[str, list[str]]:
    return {
        "group": [str(link.group_id) for link in wave.group_links.all()],
        "server": [server.source_server_id for server in wave.servers.all()],
        "optional": [server.source_server_id for server in wave.servers.all() if server.optional],
        "needs": [str(each.number) for each in wave.depends_on.all()],
    }


def _uuids(texts: Iterable[str]) -> list[uuid.UUID]:
    """Those texts that are ids; a form of ours sends no others."""
    found = []
    for text in texts:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


class PlanDraft:
    """The whole form: new with one wave, as it was sent, or as the plan is stored.

    `notes` say what a button changed beyond what was asked; `focus` is the field to go on with.
    """

    def __init__(
        self, data: QueryDict | None = None, plan: RecoveryPlan | None = None, sees: Reach = EVERYWHERE
    ) -> None:
        self.sees = sees
        self.form = PlanForm(data, plan)
        self.version: int | None = plan.version if plan else None
        self.notes: list[str] = []
        self.focus = ""
        if data is not None:
            self.form.full_clean()
            self.version = self.form.cleaned_data.get("version")
            keys = [key for key in dict.fromkeys(data.getlist("wave")) if KEY.fullmatch(key)]
            self.waves = [WaveDraft(key, data) for key in keys[:MOST_WAVES]]
        elif plan is not None:
            rows = plan.waves.prefetch_related("servers", "group_links", "depends_on")
            self.waves = [WaveDraft(str(row.number), row=row) for row in rows]
        else:
            self.waves = [WaveDraft("0")]
        if data is None:
            for first in self.waves[:1]:
                first.form.become_first()

    def is_storable(self) -> bool:
        """Whether the service can be asked: no null characters, no version that is no number."""
        return all(form.is_valid() for form in (self.form, *(wave.form for wave in self.waves)))

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
            elif verb == "copy":
                self._copy(at)
            elif verb in ("up", "down"):
                self._move(at, -1 if verb == "up" else 1)
            elif verb == "drop":
                self._drop(self.waves[at], argument)
            elif verb == "open":
                self.waves[at].opened += _uuids([argument])
                self.focus = f"servers-{key}-{argument}"
            elif verb == "settings":
                self.waves[at].shown = True
                self.focus = f"settings-{key}"
        self._tidy()

    def _free_key(self) -> str:
        taken = {wave.key for wave in self.waves}
        return next(str(number) for number in range(MOST_WAVES * 10) if str(number) not in taken)

    def _copy(self, at: int) -> None:
        if len(self.waves) >= MOST_WAVES:
            self.notes.append(f"A plan has at most {MOST_WAVES} waves.")
            return
        self.waves.insert(at + 1, self.waves[at].copied(self._free_key()))
        self.waves[at + 1].form.fields["name"].widget.attrs["autofocus"] = True
        self.notes.append(
            f"Wave {at + 1}{_named(self.waves[at])} was duplicated as wave {at + 2}, without its servers: a server can"
            " be in one wave only. Nothing is changed until you save."
        )

    def _add(self) -> None:
        key = self._free_key()
        if len(self.waves) < MOST_WAVES:
            self.waves.append(WaveDraft(key, initial={"shown": "1"}))
            self.waves[-1].form.fields["name"].widget.attrs["autofocus"] = True

    def _remove(self, at: int) -> None:
        gone = self.waves.pop(at)
        self.notes.append(f"Wave {at + 1}{_named(gone)} was removed. Nothing is changed until you save.")
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
                self.notes.append(f"Wave {at + 1} no longer depends on wave {numbers}, which now comes later.")
            wave.needs = [key for key in wave.needs if key in keys[:at]]
        for wave in self.waves[:1]:
            self.notes += [f"{each.not_first} It was taken off." for each in wave.form.become_first()]

    def settle_groups(self) -> bool:
        """Add the groups that were typed, with their free servers; drop servers of no group. True if any was typed."""
        typed = {name_key(wave.typed) for wave in self.waves if wave.typed}
        found = {each.name_key: each for each in ProtectionGroup.objects.seen_by(self.sees).filter(name_key__in=typed)}
        ids = {key for wave in self.waves for key in wave.groups} | {each.pk for each in found.values()}
        ids &= set(ProtectionGroup.objects.seen_by(self.sees).filter(pk__in=ids).values_list("pk", flat=True))
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
            wave.form.add_error("typed", f"There is no protection group named “{wave.typed}”.")
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

    def specs(self) -> Sequence[WaveSpec]:
        """The waves as the service takes them."""
        return [
            WaveSpec(
                group_ids=wave.groups,
                server_ids=wave.servers,
                optional_server_ids=[each for each in wave.optional if each in wave.servers],
                depends_on=sorted(self.place(key) for key in wave.needs),
                **wave.form.given(),
            )
            for wave in self.waves
        ]


def _named(wave: WaveDraft) -> str:
    return f", {wave.name}," if wave.name else ""


def differences(theirs: PlanDraft, mine: PlanDraft) -> list[str]:
    """How a plan that was saved meanwhile differs from what stands in the form, in words."""
    found = [f"{_told(*each)}." for each in PLAN.differences(theirs.form.given(), mine.form.given())]
    labels = [written(trimmed(each.form.given_labels())) for each in (theirs, mine)]
    if labels[0] != labels[1]:
        one, other = (f"“{each}”" if each else "none" for each in labels)
        found.append(f"Labels: theirs are {one}, yours are {other}.")
    if len(theirs.waves) != len(mine.waves):
        found.append(f"Waves: theirs has {len(theirs.waves)}, yours has {len(mine.waves)}.")
    for at, (their, my) in enumerate(zip(theirs.waves, mine.waves, strict=False)):
        found += [f"Wave {at + 1}, {text}." for text in _wave_differences(theirs, their, mine, my)]
    return found or ["Both are the same: nothing is lost whichever you keep."]


def _told(field: Field, their: str, my: str) -> str:
    one, other = (f"“{text}”" if text else "empty" for text in (their, my))
    return f"{field.title}: theirs is {one}, yours is {other}"


def _wave_differences(theirs: PlanDraft, their: WaveDraft, mine: PlanDraft, my: WaveDraft) -> Iterable[str]:
    for each in WAVE.differences(their.form.given(), my.form.given()):
        yield _told(*each).replace(each[0].title, each[0].title.lower(), 1)
    if set(their.servers) != set(my.servers):
        only = len(set(their.servers) - set(my.servers)), len(set(my.servers) - set(their.servers))
        yield (
            f"servers: theirs has {len(their.servers)}, yours {len(my.servers)};"
            f" {only[0]} only theirs, {only[1]} only yours"
        )
    if set(their.optional) != set(my.optional):
        yield "optional servers: they differ"
    if set(their.groups) != set(my.groups):
        yield "protection groups: they differ"
    if {theirs.place(key) for key in their.needs} != {mine.place(key) for key in my.needs}:
        yield "the waves that it depends on: they differ"
