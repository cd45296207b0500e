"""What a recovery plan and each of its waves say of themselves: a field is named here and in the model.

Everything else reads these tables: the API in both dialects, the administration, the editor, the journal, the copy
that a run keeps, what changed since a drill, and the report. A wave's groups, servers and dependencies, and a plan's
labels, are rows of their own and stand only in the types.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as of_class
from enum import Enum
from functools import cached_property
from typing import Any, TypedDict

from django.db import models

from contract.names import hidden_fault
from plans import gates
from plans.gates import GateShape
from plans.models import OnFailure, RecoveryPlan, SuccessMeans, Wave

MINUTES_MAX = 525_600  # a year


@dataclass(frozen=True)
class WaveSpec:
    """A wave as asked for. Its number is its place in the list; `depends_on` holds 0-based numbers of earlier waves."""

    name: str
    group_ids: Sequence[uuid.UUID]
    server_ids: Sequence[str]
    description: str = ""
    depends_on: Sequence[int] = of_class(default_factory=tuple)
    pause_before: bool = False
    gate: GateShape | None = None
    on_failure: str = OnFailure.STOP
    wait_minutes_before: int = 0
    timeout_minutes: int | None = None
    success_means: str = SuccessMeans.LAUNCHED
    check_timeout_minutes: int = 15
    optional_server_ids: Sequence[str] = of_class(default_factory=tuple)


class PlanSpec(TypedDict, total=False):
    """A plan as asked for, without its waves. None is no target; what is left out of a change stays."""

    name: str
    description: str
    rto_minutes: int | None
    rpo_minutes: int | None
    drill_lease_hours: int | None
    drill_lease_ends: str
    labels: Sequence[tuple[str, str]]
    start_gate: GateShape | None
    mirror_to_drs: bool


class Dependency(TypedDict):
    dependsOnWaveId: str


class WaveShape(TypedDict):
    waveId: str
    waveNumber: int
    executionOrder: int
    waveName: str
    waveDescription: str
    protectionGroupIds: list[str]
    protectionGroupId: str | None
    serverIds: list[str]
    optionalServerIds: list[str]
    dependsOnWaves: list[int]
    dependencies: list[Dependency]
    pauseBeforeWave: bool
    gate: GateShape | None
    onFailure: str
    waitMinutesBefore: int
    timeoutMinutes: int | None
    successMeans: str
    checkTimeoutMinutes: int


class Kind(Enum):
    """What a field holds; its column says which."""

    TEXT = "text"
    FLAG = "flag"
    CHOICE = "choice"
    MINUTES = "minutes"
    GATE = "gate"


@dataclass(frozen=True)
class Field:
    """One field. Its length, choices and default are those of the column."""

    model: type[models.Model]
    column: str  # and keyword of the spec
    name: str  # in the API, the journal, and the copy that a run keeps
    title: str  # in reports and differences
    label: str  # of its input in the editor
    place: str  # the name of that input
    hint: str = ""
    not_first: str = ""  # why the first wave cannot have it
    steers: bool = False  # whether a run takes another way with it
    least: int = 1  # of minutes
    without: str = "no target"  # what no minutes mean
    most: int = MINUTES_MAX
    unit: str = "minutes"

    @cached_property
    def stored(self) -> Any:
        return self.model._meta.get_field(self.column)

    @cached_property
    def kind(self) -> Kind:
        if self.stored.choices:
            return Kind.CHOICE
        kinds = {
            models.CharField: Kind.TEXT,
            models.BooleanField: Kind.FLAG,
            models.PositiveIntegerField: Kind.MINUTES,
            models.JSONField: Kind.GATE,
        }
        return kinds[type(self.stored)]

    @property
    def default(self) -> Any:
        return self.stored.get_default()

    def wrong(self, value: Any, *, first: bool, stored: Collection[str] = ()) -> str:
        """Why it cannot be that; empty if it can. `stored` are names from before names were looked at."""
        longest = self.stored.max_length
        if self.not_first and first and value:
            return self.not_first
        match self.kind:
            case Kind.TEXT if not value and not self.stored.blank:
                return f"A {self.title.lower()} is required."
            case Kind.TEXT if len(value) > longest:
                return f"At most {longest} characters; this has {len(value)}."
            case Kind.TEXT if self.column == "name":
                return hidden_fault(value, stored)
            case Kind.CHOICE if value not in dict(self.stored.choices):
                return f"Use {' or '.join(dict(self.stored.choices))}."
            case Kind.MINUTES if value is not None and not self.least <= value <= self.most:
                return f"Whole {self.unit} from {self.least} to {self.most:,}{self._or_nothing}."
            case Kind.GATE if value is not None:
                return " ".join(gates.faults(value))
        return ""

    def cleaned(self, value: Any) -> Any:
        """The value as it is kept."""
        if self.kind is Kind.GATE:
            return gates.cleaned(value)
        return value.strip() if isinstance(value, str) else value

    @property
    def _or_nothing(self) -> str:
        return f", or nothing for {self.without}" if self.stored.null else ""

    def words(self, value: Any) -> str:
        """The value for people; empty where there is none."""
        match self.kind:
            case Kind.FLAG:
                return "yes" if value else "no"
            case Kind.CHOICE:
                return str(dict(self.stored.choices).get(value, value))
            case Kind.GATE if value is not None:
                return gates.words(value)
        return "" if value is None else str(value)

    def told(self, kept: Mapping[str, Any]) -> str:
        """What a copy that a run kept says of it; one that is older than the field has the default."""
        return self.words(kept.get(self.name, self.default))


class Fields(tuple[Field, ...]):
    """A table of fields, and what is done with all of them alike."""

    __slots__ = ()

    def named(self, row: object) -> dict[str, Any]:
        """The values of a row under the names that the API has for them."""
        return {each.name: getattr(row, each.column) for each in self}

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """By column what stands under those names; what does not is left out."""
        return {each.column: values[each.name] for each in self if each.name in values}

    def cleaned(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """By column, texts trimmed."""
        return {each.column: each.cleaned(values[each.column]) for each in self if each.column in values}

    def wrong(
        self, values: Mapping[str, Any], *, first: bool = False, stored: Collection[str] = ()
    ) -> dict[str, list[str]]:
        """What is wrong with cleaned values, by name."""
        given = [each for each in self if each.column in values]
        found = {each.name: each.wrong(values[each.column], first=first, stored=stored) for each in given}
        return {name: [text] for name, text in found.items() if text}

    def differences(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[Field, str, str]]:
        """Where two sets of values by column differ, in words; a value that is not there is the default."""
        for each in self:
            mine, theirs = one.get(each.column, each.default), other.get(each.column, each.default)
            if mine != theirs:
                yield each, each.words(mine), each.words(theirs)

    def shared(self, row: object, model: type[models.Model]) -> dict[str, Any]:
        """The values of a row for those columns that another model has, too."""
        columns = {each.name for each in model._meta.get_fields()}
        return {each.column: getattr(row, each.column) for each in self if each.column in columns}


PLAN = Fields(
    (
        Field(RecoveryPlan, "name", "planName", "Name", "Name", "name"),
        Field(RecoveryPlan, "description", "description", "Description", "Description", "description", "optional"),
        Field(
            RecoveryPlan, "rto_minutes", "rtoMinutes", "RTO", "RTO in minutes", "rto",
            "optional: from the start until the last server is up",
        ),
        Field(
            RecoveryPlan, "rpo_minutes", "rpoMinutes", "RPO", "RPO in minutes", "rpo",
            "optional: so much data may be lost",
        ),
        Field(
            RecoveryPlan, "drill_lease_hours", "drillLeaseHours", "Drill lease", "Drill lease in hours", "lease",
            "optional: so long a drill’s instances may run on after it", without="no lease", most=8_760, unit="hours",
        ),
        Field(
            RecoveryPlan, "drill_lease_ends", "drillLeaseEnds", "When the lease ends", "When the lease ends",
            "leaseends",
        ),
        Field(
            RecoveryPlan, "start_gate", "startGate", "Start gate", "Gate before a recovery starts", "startgate",
            "drills start without it", without="none",
        ),
        Field(
            RecoveryPlan, "mirror_to_drs", "mirrorToDrs", "Kept in DRS",
            "Keep a copy of this plan in DRS, as recovery plans of its own, for when this product is down", "mirror",
        ),
    )
)  # fmt: skip

WAVE = Fields(
    (
        Field(Wave, "name", "waveName", "Name", "Name of the wave", "name"),
        Field(Wave, "description", "waveDescription", "Description", "Description", "description", "optional"),
        Field(
            Wave, "pause_before", "pauseBeforeWave", "Pause before",
            "Pause before this wave until somebody resumes the run", "pause",
            not_first="The first wave cannot have a pause before it.", steers=True,
        ),
        Field(
            Wave, "gate", "gate", "Gate", "Gate before this wave", "gate",
            "nothing behind it is launched before it is passed",
            not_first="The first wave cannot have a gate: a plan has a start gate (startGate) for that.", steers=True,
            without="none",
        ),
        Field(
            Wave, "wait_minutes_before", "waitMinutesBefore", "Wait before", "Minutes to wait before this wave", "wait",
            "0 for none; somebody can end the wait", steers=True, least=0, most=1_440,
        ),
        Field(
            Wave, "timeout_minutes", "timeoutMinutes", "Timeout", "Minutes that its servers may take", "timeout",
            "empty for this installation’s setting", steers=True, least=5, most=1_440, without="the setting",
        ),
        Field(
            Wave, "success_means", "successMeans", "Success means", "A server counts as up when it is", "success",
            steers=True,
        ),
        Field(
            Wave, "check_timeout_minutes", "checkTimeoutMinutes", "Check timeout",
            "Minutes from its launch until a server must be up in that sense", "check_timeout",
            "only where more than the launch is asked for", steers=True, least=1, most=1_440,
        ),
        Field(Wave, "on_failure", "onFailure", "On failure", "If one of its servers fails", "failure", steers=True),
    )
)  # fmt: skip

STEERING = Fields(each for each in WAVE if each.steers)
# As people see them: texts below a wave's name, the rest in columns.
WAVE_TEXTS = Fields(each for each in WAVE if each.kind is Kind.TEXT and each.column != "name")
WAVE_SETTINGS = Fields(each for each in WAVE if each.kind is not Kind.TEXT)
