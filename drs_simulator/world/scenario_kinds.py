"""What a named scenario is: when it strikes, what it does, whether the real service does that, its options.

The table of them all is in `scenarios_of_calls` (refusals, lost answers, lives of jobs) and `scenarios_of_answers`
(what listings tell, what others do).

`evidence` begins with `known` (and by whom), `likely`, or `unknown`. What is unknown has more than one scenario, or an
option that turns it: a client has to survive all of them. `field` are the cases in the product's `facts/field.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Acts(Enum):
    """At which point a scenario comes into play."""

    INSTEAD = "the call is not carried out"
    BEFORE = "something happens, then the call is carried out"
    AFTER = "the call is carried out, its answer suffers"
    CREATION = "a job's row is made differently"
    SERVER = "a server in a new job fares differently"
    VIEW = "answers look different while it is set"
    ITEM = "items of answers are changed while it is set"
    AT_ONCE = "acts when it is set"


@dataclass(frozen=True)
class Kind:
    """One named scenario. `options` are its own options with their defaults; `operations` the default filter."""

    acts: Acts
    summary: str
    evidence: str
    options: Mapping[str, object] | None = None
    operations: tuple[str, ...] = ()
    error: str = ""
    field: str = ""


LAUNCHERS = ("StartRecovery", "TerminateRecoveryInstances")
JOBS, SOURCES = ("DescribeJobs",), ("DescribeSourceServers",)
SERVERS: Mapping[str, object] = {"servers": []}
FAILING: Mapping[str, object] = {"servers": [], "raw_error": ""}

MODEL = "known: the model of DRS in botocore"
REPORTS = "known: public reports of users"
EVENTS = "known: events of the model"
# `times`: strikes left to give (null: any number) · `after`: matching calls let through first · `probability`
# with `seed`: strikes at random · `operation`: a name or a list · `region`: all when empty.
COMMON: Mapping[str, object] = {
    "times": None,
    "after": 0,
    "probability": 1.0,
    "seed": 0,
    "operation": [],
    "region": "",
}
