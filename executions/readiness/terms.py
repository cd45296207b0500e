"""What a verdict on a plan rests on, and what it says: plain facts in, reasons out."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from executions.codes.entry import OurCode
from executions.codes.ours import Code
from executions.codes.readiness import Against
from executions.states import Kind, Verdict
from protection.inventory.capacity import Capacity
from protection.inventory.launch_settings import Change, Settings
from protection.inventory.native_runs import NativeRun
from protection.inventory.source_servers import Place


@dataclass(frozen=True)
class ServerFacts:
    """A server of a wave as the inventory has it; `known` is whether the inventory has it at all."""

    id: str
    name: str
    region: str
    known: bool = True
    way: str = ""  # its account, if that is entered by a role
    gone: bool = False
    replication_state: str = ""
    trouble: str = ""  # what DRS says is wrong with it, in its words
    agent_silent_since: datetime | None = None
    lag_seconds: int | None = None
    seen_at: datetime | None = None
    latest_snapshot_at: datetime | None = None
    chosen_at: datetime | None = None  # of a dry run: the time of the snapshot that it would be launched from
    chosen_gone: str = ""  # … why there is none
    launch_template_id: str = ""
    settings: Settings | None = None  # its launch settings as they were last read
    cores: int = 0  # of its source
    recommended_type: str = ""  # by DRS
    has_instance: bool = False  # whoever launched it
    details_as_of: datetime | None = None
    starts_stopped: bool = False
    has_actions: bool = False
    instance_of: Kind | None = None
    has_foreign_instance: bool = False
    held_by: str = ""  # by a run of this plan
    extended_of: str = ""  # its original in the staging account

    @property
    def place(self) -> Place:
        return self.way, self.region

    @property
    def machine(self) -> str:
        """What its source is known by: a server and what extends it into other accounts are one machine."""
        return self.extended_of or self.id


@dataclass(frozen=True)
class WaveFacts:
    """A wave of the plan as it is now; `said` are the values of its steering fields, by column."""

    number: int
    servers: Sequence[ServerFacts]
    depends_on: Sequence[int] = ()
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RegionFacts:
    """What is known of an account's region, and since when. `running` are the servers of each DRS job; `foreign`
    others' jobs. `way` is the account if it is entered by a role, `account` what it is called where there are
    several."""

    region: str
    way: str = ""
    account: str = ""
    account_id: str = ""  # whose it is, as far as that is known
    as_of: datetime | None = None
    initialized: bool = True
    error: str = ""
    is_elsewhere: bool = False  # the credentials are of another account than the groups there
    running: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    jobs_as_of: datetime | None = None
    checks_error: str = ""  # why EC2 tells no status checks
    templates_error: str = ""  # why EC2 tells no launch templates
    capacity: Capacity | None = None  # None: never asked for
    actions_denied: str = ""  # what of post-launch actions IAM does not allow
    native: Mapping[str, NativeRun] = field(default_factory=dict)  # executions of DRS's own plans, by server
    native_as_of: datetime | None = None
    native_error: str = ""  # why DRS did not tell those

    @property
    def place(self) -> Place:
        return self.way, self.region

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.region} of {self.account}" if self.account else self.region


@dataclass(frozen=True)
class Drill:
    """The last drill of the plan that completed, with the plan as it was then."""

    execution_id: uuid.UUID
    ended_at: datetime
    plan_copy: Mapping[str, Any]
    first_attempt_id: uuid.UUID | None = None  # of one that was tried again: the run with which it began


@dataclass(frozen=True)
class PlanFacts:
    """All that a verdict rests on."""

    plan_id: uuid.UUID
    name: str
    version: int
    waves: Sequence[WaveFacts]
    regions: Mapping[Place, RegionFacts]
    rpo_minutes: int | None = None
    active_status: str = ""
    engine_alive: bool = True
    is_superseded: bool = False  # another installation has taken over
    native_drift: str = ""  # why its copy in DRS is not what it is now
    group_drifts: Sequence[str] = ()  # of its groups that follow a match, what the match finds now and they have not
    last_drill: Drill | None = None
    launched_with: Mapping[str, Settings] = field(default_factory=dict)  # what that drill launched its servers with

    @property
    def servers(self) -> Iterator[ServerFacts]:
        return (server for wave in self.waves for server in wave.servers)


@dataclass(frozen=True)
class LaunchChange:
    """A launch setting of a server that is not what it was at the last drill that completed."""

    server_id: str
    name: str
    change: Change


@dataclass(frozen=True)
class Reason:
    """Something about the plan, in a sentence; `server_ids` are all that it concerns. `quota_page` is where AWS shows
    the quota that it is about."""

    code: OurCode
    weight: Verdict
    text: str
    server_ids: Sequence[str] = ()
    quota_page: str = ""

    @property
    def is_blocking(self) -> bool:
        return self.weight is Verdict.NOT_READY


@dataclass(frozen=True)
class Readiness:
    """The verdict and its reasons, worst first. `expires_at` is when what it rests on is too old to be believed."""

    verdict: Verdict
    reasons: Sequence[Reason]
    checked_at: datetime
    expires_at: datetime | None
    last_drill: Drill | None
    changes: Sequence[str]
    launch_changes: Sequence[LaunchChange] = ()

    @property
    def against(self) -> list[Reason]:
        """The reasons less the plan's own run: a page shows that by itself, and it is no fault of the plan."""
        return [each for each in self.reasons if each.code is not Code.PLAN_ALREADY_EXECUTING]

    @property
    def lacks_engine(self) -> bool:
        return any(each.code is Against.ENGINE_NOT_ALIVE for each in self.reasons)
