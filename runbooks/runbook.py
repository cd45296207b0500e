"""A plan as a person would do it, with the AWS command line and the console, when this product is not there.

Plain data, from our rows alone; its forms are made of it in `forms.py`. Every command is a line of bash for the AWS
command line, version 2, with the ids filled in, in the order in which they are typed.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.db.models import Prefetch

from contract.plurals import counted
from drs.client import SERVERS_PER_JOB
from plans import services
from plans.models import OnFailure, RecoveryPlan, SuccessMeans, Wave, WaveServer
from protection.models import SourceServer

POLL_SECONDS = 30
PLAN_TAG, WAVE_TAG = "drsorch:runbook", "drsorch:wave"

Place = tuple[str, str]  # account, region


@dataclass(frozen=True)
class Server:
    id: str
    name: str
    optional: bool


@dataclass(frozen=True)
class Part:
    """What one StartRecovery launches: servers of one account and region, at most a hundred. `variable` is the shell's
    that gets the id of its DRS job."""

    place: Place
    servers: Sequence[Server]
    variable: str

    @property
    def region(self) -> str:
        return self.place[1]


@dataclass(frozen=True)
class Step:
    """Something to do. `commands` are typed; `console` is how to do the same by hand; `done` is how to see that it is
    done; `table` are servers to tick off."""

    title: str
    said: Sequence[str] = ()
    commands: Sequence[str] = ()
    console: str = ""
    done: str = ""
    table: Sequence[Server] = ()


@dataclass(frozen=True)
class Runbook:
    """The whole plan, in the order in which it is done."""

    plan_id: uuid.UUID
    name: str
    version: int
    said: Sequence[str]
    before: Sequence[Step]
    waves: Sequence[Step]
    after: Sequence[Step]
    places: Sequence[Place] = field(default_factory=tuple)

    @property
    def steps(self) -> list[Step]:
        return [*self.before, *self.waves, *self.after]

    @property
    def commands(self) -> list[str]:
        """Everything that is typed, in order, clean-up and all."""
        return [each for step in self.steps for each in step.commands]


def runbook_of(plan_id: uuid.UUID) -> Runbook:
    """Raises NotFound."""
    plan = services.get(plan_id)
    placed = Prefetch("servers", WaveServer.objects.select_related("assignment__group"))
    waves = list(plan.waves.prefetch_related(placed, "depends_on").order_by("number"))
    ids = [each.source_server_id for wave in waves for each in wave.servers.all()]
    names = dict(SourceServer.objects.filter(pk__in=ids).values_list("pk", "name"))
    parts = {wave.number: _parts(wave, names) for wave in waves}
    places = sorted({part.place for each in parts.values() for part in each})
    everything = [(place, [each for each in _all(parts) if each.place == place]) for place in places]
    targets = [f"{name} {minutes} min" for name, minutes in _targets(plan.rto_minutes, plan.rpo_minutes)]
    return Runbook(
        plan_id=plan.pk,
        name=plan.name,
        version=plan.version,
        said=[each for each in (plan.description, f"Targets: {', '.join(targets)}." if targets else "") if each],
        before=list(_before(plan, places, everything)),
        waves=[step for wave in waves for step in _steps_of(wave, parts[wave.number], plan.pk)],
        after=list(_after(everything)),
        places=places,
    )


def _targets(rto: int | None, rpo: int | None) -> Iterator[tuple[str, int]]:
    if rto is not None:
        yield "RTO", rto
    if rpo is not None:
        yield "RPO", rpo


def _all(parts: Mapping[int, Sequence[Part]]) -> list[Part]:
    return [part for each in parts.values() for part in each]


def _parts(wave: Wave, names: Mapping[str, str]) -> list[Part]:
    placed = [
        (
            (each.assignment.group.account_id, each.assignment.group.region),
            position,
            Server(each.source_server_id, names.get(each.source_server_id, each.source_server_id), each.optional),
        )
        for position, each in enumerate(wave.servers.all())
    ]
    chunks: list[tuple[Place, list[Server]]] = []
    for place, members in groupby(sorted(placed, key=lambda each: each[:2]), key=lambda each: each[0]):
        servers = [server for *_, server in members]
        chunks += [(place, servers[at : at + SERVERS_PER_JOB]) for at in range(0, len(servers), SERVERS_PER_JOB)]
    return [Part(place, some, f"JOB_{wave.number + 1}_{at}") for at, (place, some) in enumerate(chunks, 1)]


# Before


def _before(
    plan: RecoveryPlan, places: Sequence[Place], everything: Iterable[tuple[Place, Sequence[Part]]]
) -> Iterator[Step]:
    accounts = sorted({account for account, _ in places})
    yield Step(
        "Drill or recovery",
        [
            "Everything is typed into one bash shell with the AWS command line, version 2. Decide first, and once:"
            " every launch below uses this variable. A shell that was opened later does not have it, and launches"
            " nothing: DRS takes a launch that says neither for a recovery.",
            "For a recovery, type MODE=--no-is-drill instead. It takes over production: nobody but the person who may"
            " decide that types it.",
        ],
        ["MODE=--is-drill"],
        done="`echo $MODE` says what you mean.",
    )
    if plan.start_gate:
        yield Step("Only before a recovery", list(_asked(plan.start_gate_words, plan.start_gate)))
    if len(accounts) > 1:
        text = f"The plan spans the accounts {', '.join(accounts)}: before each step, take credentials of its account."
        yield Step("Credentials", [text])
    yield Step(
        "The account",
        [
            f"The credentials must be of account {' or '.join(accounts) or '(none)'}, with the rights to use AWS"
            " Elastic Disaster Recovery: read, start recoveries, tag, and terminate recovery instances."
        ],
        ["aws sts get-caller-identity --query Account --output text"],
        done=f"It prints {' or '.join(accounts) or 'the account'}.",
    )
    for (account, region), parts in everything:
        yield from _looks(account, region, parts)


def _looks(account: str, region: str, parts: Sequence[Part]) -> Iterator[Step]:
    servers = [server for part in parts for server in part.servers]
    where = f"account {account}, {region}"
    yield Step(
        f"What runs already ({where})",
        [
            "DRS terminates a server’s recovery instance before it launches the server again. What this prints is not"
            " known to be a drill’s: it may be production. If it prints anything, stop, and find out whose it is.",
        ],
        [
            f"aws drs describe-recovery-instances --region {region} --filters sourceServerIDs={some}"
            " --query 'items[?isDrill!=`true`].[sourceServerID,recoveryInstanceID,ec2InstanceState]' --output text"
            for some in _id_lists(servers)
        ],
        console=f"Elastic Disaster Recovery, {region}, Recovery instances: none of these servers with type Recovery.",
        done="It prints nothing.",
    )
    yield Step(
        f"What DRS is doing ({where})",
        [
            "A server takes part in one DRS job at a time. If DRS Orchestration was at work when it stopped, its"
            " jobs go on by themselves and have the tag drsorch:execution: wait for them instead of launching again."
        ],
        [
            f"aws drs describe-jobs --region {region}"
            " --query \"items[?status!='COMPLETED'].[jobID,type,status,creationDateTime]\" --output text"
        ],
        console=f"Elastic Disaster Recovery, {region}, Recovery job history: nothing is pending or started.",
        done="It prints nothing, or only jobs that have none of the servers below.",
    )
    yield Step(
        f"Whether the servers replicate ({where})",
        [
            "For a drill each should be CONTINUOUS. In a disaster STALLED and DISCONNECTED are to be expected: DRS"
            " launches the last snapshot. INITIAL_SYNC and STOPPED have none, and fail."
        ],
        [
            f"aws drs describe-source-servers --region {region} --filters sourceServerIDs={some}"
            " --query 'items[].[sourceServerID,dataReplicationInfo.dataReplicationState]' --output text"
            for some in _id_lists(servers)
        ],
        console=f"Elastic Disaster Recovery, {region}, Source servers: Ready for recovery, Data replication status.",
        done=f"It prints {counted(len(servers), 'line')}, one a server.",
    )


def _id_lists(servers: Sequence[Server]) -> list[str]:
    """Ids as a filter takes them: at most 200, and a hundred are long enough for a line."""
    ids = [each.id for each in servers]
    return [",".join(ids[at : at + SERVERS_PER_JOB]) for at in range(0, len(ids), SERVERS_PER_JOB)]


# Waves


def _steps_of(wave: Wave, parts: Sequence[Part], plan_id: uuid.UUID) -> Iterator[Step]:
    title = f"Wave {wave.number + 1}, {wave.name}"
    if gate := list(_gate(wave)):
        yield Step(f"Before {title[0].lower()}{title[1:]}", gate, done="Somebody who may decide it said to go on.")
    yield _launch(wave, title, parts, plan_id)
    yield _wait(wave, title, parts)
    yield _result(wave, title, parts)
    if wave.success_means != SuccessMeans.LAUNCHED:
        yield from (_checks(title, part) for part in parts)


def _gate(wave: Wave) -> Iterator[str]:
    needs = sorted(each.number + 1 for each in wave.depends_on.all())
    if needs:
        which = f"wave {needs[0]}" if len(needs) == 1 else f"waves {', '.join(map(str, needs))}"
        yield f"It needs {which}: if that did not complete, leave this wave out."
    if wave.gate:
        yield from _asked(wave.gate_words, wave.gate)
    elif wave.pause_before:
        yield "The plan pauses here until a person says that it goes on. Ask, and write down who said so, and when."
    if wave.wait_minutes_before:
        yield f"Wait {wave.wait_minutes_before} min: sleep {60 * wave.wait_minutes_before}."


def _asked(words: str, gate: Mapping[str, Any]) -> Iterator[str]:
    """What a gate asks of people, on paper."""
    yield f"The plan has a gate here: {words}. Ask, and write down who approved, and when."
    for each in gate.get("checklist", ()):
        yield f"[ ] {each}"


def _launch(wave: Wave, title: str, parts: Sequence[Part], plan_id: uuid.UUID) -> Step:
    said = [wave.description] if wave.description else []
    said.append(
        "Type each line once. ThrottlingException: nothing was launched, type it again after a minute."
        " ConflictException: a server is in another job; wait for that one. ServiceQuotaExceededException: wait until"
        " other jobs have ended. If it fails with a timeout or an unclear error, the launch may run all the same: the"
        f" last line tells. If that shows a job of just now with a {wave.number + 1} behind its ID, type"
        f" its variable, such as {parts[0].variable}=drsjob-…, with that ID instead of launching again."
    )
    said.append("To launch a server from an older point in time, put ,recoverySnapshotID=pit-… behind its ID.")
    regions = sorted({part.region for part in parts})
    return Step(
        f"{title}: launch",
        said,
        [*(_start(part, wave, plan_id) for part in parts), *(_launched(each, plan_id) for each in regions)],
        console=f"Elastic Disaster Recovery, {', '.join(regions)}, Source servers: choose the servers below, Initiate"
        " recovery job, Initiate recovery drill (or Initiate recovery), Use most recent data.",
        done=" ".join(f"`echo ${part.variable}` prints drsjob-…" for part in parts),
        table=[server for part in parts for server in part.servers],
    )


def _start(part: Part, wave: Wave, plan_id: uuid.UUID) -> str:
    servers = " ".join(f"sourceServerID={each.id}" for each in part.servers)
    return (
        f"{part.variable}=$(AWS_MAX_ATTEMPTS=1 aws drs start-recovery --region {part.region} ${{MODE:?}}"
        f" --source-servers {servers}"
        f" --tags {PLAN_TAG}={plan_id},{WAVE_TAG}={wave.number + 1} --query job.jobID --output text)"
    )


def _launched(region: str, plan_id: uuid.UUID) -> str:
    """What this runbook has launched there: job, wave, status, and when."""
    mine = f'items[?tags."{PLAN_TAG}"==`"{plan_id}"`]'
    shown = f'[jobID,tags."{WAVE_TAG}",status,creationDateTime]'
    return f"aws drs describe-jobs --region {region} --query '{mine}.{shown}' --output text"


def _wait(wave: Wave, title: str, parts: Sequence[Part]) -> Step:
    limit = f"{wave.timeout_minutes} min" if wave.timeout_minutes else "30 min"
    return Step(
        f"{title}: wait",
        [f"DRS takes 5 to 40 min. The plan gives this wave {limit}; DRS goes on after that: nothing can stop a job."],
        [
            f": ${{{part.variable}:?}}; until aws drs describe-jobs --region {part.region}"
            f" --filters jobIDs=${part.variable} --query 'items[].status' --output text | grep -q COMPLETED;"
            f" do sleep {POLL_SECONDS}; done"
            for part in parts
        ],
        console="Recovery job history: the job’s status is Completed. That says nothing yet of its servers.",
        done="The prompt is back.",
    )


def _result(wave: Wave, title: str, parts: Sequence[Part]) -> Step:
    optional = [each.name for part in parts for each in part.servers if each.optional]
    said = [f"May fail, because the plan calls them optional: {', '.join(optional)}."] if optional else []
    said += [
        "Why a server failed: the job’s log. "
        + " ".join(
            f"`aws drs describe-job-log-items --region {each.region} --job-id ${each.variable}`" for each in parts
        )
    ]
    return Step(
        f"{title}: what came up",
        [*said, _if_failed(OnFailure(wave.on_failure))],
        [
            f"aws drs describe-jobs --region {part.region} --filters jobIDs=${{{part.variable}:?}}"
            " --query 'items[].participatingServers[].[sourceServerID,launchStatus,recoveryInstanceID]' --output text"
            for part in parts
        ],
        console="Recovery job history, the job: each server says Launched.",
        done="Every line says LAUNCHED" + (", but for optional servers." if optional else "."),
    )


def _if_failed(on_failure: OnFailure) -> str:
    if on_failure.stops_plan:
        return "If a server failed: stop here. The plan launches nothing after a wave that failed."
    if on_failure.asks_a_person:
        return "If a server failed: wait for somebody to decide. Launch it again, leave it, or stop here."
    return "If a server failed: go on with the next wave."


def _checks(title: str, part: Part) -> Step:
    return Step(
        f"{title}: whether they came up",
        ["The plan counts this wave as done only when EC2’s status checks have passed, some minutes after the launch."],
        [
            f"aws ec2 describe-instance-status --region {part.region} --include-all-instances --instance-ids"
            f" $(aws drs describe-jobs --region {part.region} --filters jobIDs=${{{part.variable}:?}}"
            " --query 'items[].participatingServers[].recoveryInstanceID' --output text)"
            " --query 'InstanceStatuses[].[InstanceId,SystemStatus.Status,InstanceStatus.Status]' --output text"
        ],
        console="EC2, Instances: 2/2 checks passed.",
        done="Every line says ok twice. Type it again after a minute while one says initializing.",
    )


# After


def _after(everything: Sequence[tuple[Place, Sequence[Part]]]) -> Iterator[Step]:
    for (account, region), parts in everything:
        lists = _id_lists([server for part in parts for server in part.servers])
        yield Step(
            f"Clean up after a drill (account {account}, {region})",
            [
                "Only after a drill, when nobody needs its instances any more: they cost money until they are"
                " terminated. After a recovery these instances are production; these lines leave those alone, because"
                " they ask for drill instances only.",
            ],
            [
                f"DRILLED=$(aws drs describe-recovery-instances --region {region} --filters sourceServerIDs={some}"
                " --query 'items[?isDrill==`true`].recoveryInstanceID' --output text)\n"
                f'[ -z "$DRILLED" ] || aws drs terminate-recovery-instances --region {region}'
                " --recovery-instance-ids $DRILLED --query job.jobID --output text"
                for some in lists
            ],
            console=f"Elastic Disaster Recovery, {region}, Recovery instances: choose those with type Drill, Actions,"
            " Terminate recovery instances.",
            done="After some minutes Recovery instances lists none of type Drill for these servers.",
        )
    yield Step(
        "When DRS Orchestration is back",
        [
            "It finds recovery instances that it did not launch in its inventory, and counts those that DRS does not"
            " call a drill’s as production. Keep this paper with the times: it is the record of what was done."
        ],
    )
