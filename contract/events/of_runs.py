"""The events of runs: begins and ends, waves, launches, gates, clean-ups, leases. Waves are counted from 0."""

from collections.abc import Mapping

from contract.events.members import (
    FLAG,
    OBJECT,
    OBJECTS,
    TEXT,
    TEXTS,
    TIME,
    WHOLE,
    WHOLES,
    EventType,
    Member,
    known,
    maybe,
    says,
)

_LAUNCH: Mapping[str, Member] = {"wave": WHOLE, "launch": TEXT}
_TAKEN: Mapping[str, Member] = {"region": TEXT, "jobId": TEXT, "awsAheadSeconds": maybe(WHOLE), **_LAUNCH}
_REFUSED: Mapping[str, Member] = {**_LAUNCH, "attempt": WHOLE, "text": TEXT}
_WAVE_END: Mapping[str, Member] = {
    "wave": WHOLE,
    "text": TEXT,
    "startTime": maybe(known(TIME)),
    "endTime": maybe(TIME),
    "launches": maybe(OBJECT),
    "usable": maybe(OBJECT),
}
_GATE: Mapping[str, Member] = {"wave": WHOLE, "digest": maybe(TEXT), "checklist": maybe(WHOLES)}
_TARGETS: Mapping[str, Member] = {
    "startTime": TIME,
    "rtoMinutes": known(WHOLE),
    "rpoMinutes": known(WHOLE),
    "planDigest": TEXT,
    "pointInTime": maybe(known(TIME)),
    "snapshotsDigest": maybe(TEXT),
}
_PLACE: Mapping[str, Member] = {"wave": maybe(WHOLE), "afterWave": maybe(WHOLE)}
_CHANGED: Mapping[str, Member] = {"changed": maybe(FLAG)}
_OUTSIDE: Mapping[str, Member] = {"region": TEXT, "instances": TEXTS, "servers": TEXTS}

RUNS: Mapping[str, EventType] = {
    "execution.start": says(
        "A run was started.", kind=TEXT, waves=WHOLE, initiatedBy=TEXT, planVersion=WHOLE, dryRun=maybe(FLAG),
        outageTime=maybe(TEXT), **_TARGETS,
    ),
    "execution.retry": says(
        "A run was started that launches what an earlier one has left.", kind=TEXT, attempt=WHOLE, retryOf=TEXT,
        servers=WHOLE, standing=WHOLES, initiatedBy=TEXT, leftOut=maybe(TEXTS), **_TARGETS,
    ),
    "execution.pause": says("Somebody asked for a pause before the next wave.", **_CHANGED),
    "execution.pause_withdrawn": says("That pause was withdrawn before it came."),
    "execution.paused": says("The run waits for a person, before a wave or after one.", pausedTime=TIME, **_PLACE),
    "execution.pause_expired": says("Nobody let the run go on in time.", **_PLACE),
    "execution.resume": says(
        "Somebody let the run go on.", resumedTime=TIME, digest=maybe(TEXT), checklist=maybe(WHOLES), **_PLACE
    ),
    "execution.cancel": says("Somebody stopped the run.", endTime=maybe(TIME), **_CHANGED),
    "execution.abandon": says("Somebody gave up waiting for AWS.", wave=WHOLE, regions=TEXTS, text=TEXT),
    "execution.stalled": says("AWS has told nothing of the run for several polls.", since=TIME),
    "execution.unattended": says("No engine worked on the run for a time: one does again.", since=TIME, until=TIME),
    "execution.heard_of": says("AWS tells of the run again.", since=known(TIME)),
    "execution.ended": says(
        "The run is over: `outcome` is its status.", endTime=TIME, launchedServers=maybe(WHOLE)
    ),
    "execution.restored": says("The run came back from a backup: AWS is asked what was launched since."),
    "execution.recounted": says("AWS was asked for launches made since the backup.", waits=known(WHOLE)),
    "execution.evidence": says(
        "An evidence pack was made.", files=OBJECT, firstSeal=WHOLE, previous=TEXT, entries=known(TEXT)
    ),
    "execution.signed_off": says("Somebody vouches for the run.", lookedAt=TEXT, time=TIME),
    "execution.archived": says("The run was moved into the archive.", archive=TEXT, sha256=TEXT),
    "execution.hide": says("Finished runs were hidden.", executionIds=maybe(TEXTS), kept=maybe(OBJECTS)),
    "execution.terminate": says("Somebody asked for instances to be terminated.", instances=TEXTS, **_CHANGED),
}  # fmt: skip

WAVES: Mapping[str, EventType] = {
    "wave.waits": says("The run waits before a wave, as its plan says.", wave=WHOLE, startsAt=TIME),
    "wave.started_now": says("Somebody ended that wait.", wave=WHOLE),
    "wave.started": says("A wave begins to launch.", wave=WHOLE, attempt=WHOLE),
    "wave.completed": says("A wave is over, and came up.", **_WAVE_END),
    "wave.failed": says("A wave is over, and did not all come up: `outcome` says why.", **_WAVE_END),
    "wave.skipped": says("Waves will not run.", waves=maybe(WHOLES), wave=maybe(WHOLE), text=TEXT, reason=maybe(TEXT)),
    "wave.retried": says(
        "Failed servers of a wave are launched again.", wave=WHOLE, attempt=WHOLE, servers=WHOLE, serverIds=TEXTS,
        askedTime=maybe(TIME), retriedTime=maybe(TIME),
    ),
    "server.excluded": says(
        "A server is left out of a wave.", wave=WHOLE, sourceServerId=TEXT, hostname=TEXT, text=TEXT
    ),
    "launch.intent": says(
        "A launch is about to be sent.", region=TEXT, attempt=WHOLE, intentTime=TIME, lags=OBJECT,
        snapshots=maybe(OBJECT), **_LAUNCH,
    ),
    "launch.sent": says("AWS accepted a launch.", **_TAKEN),
    "launch.adopted": says("A launch was found at AWS.", **_TAKEN),
    "launch.refused": says("AWS did not accept a launch yet.", **_REFUSED),
    "launch.cleared": says("AWS has no job of a launch without an answer.", **_REFUSED),
    "launch.rejected": says("AWS will not take a launch.", text=TEXT, **_LAUNCH),
    "launch.unclear": says("AWS gave no clear answer to a launch.", text=TEXT, **_LAUNCH),
    "launch.split": says("The servers of a launch go on in parts.", parts=OBJECTS, **_LAUNCH),
    "launch.left_out": says("Servers are not launched.", region=TEXT, servers=TEXTS, text=TEXT, **_LAUNCH),
    "launch.held": says(
        "Servers wait for an execution of a recovery plan of DRS.", region=TEXT, servers=TEXTS, text=TEXT, **_LAUNCH
    ),
    "launch.replaces": says("A launch replaces what may be production.", region=TEXT, instances=TEXTS, **_LAUNCH),
    "launch.unchecked": says("AWS did not say what a launch replaces.", region=TEXT, text=TEXT, **_LAUNCH),
    "launch.news": says(
        "AWS told more of servers after their wave.", region=TEXT, launches=OBJECT, usable=maybe(OBJECT), **_LAUNCH
    ),
    "launch.ended": says(
        "DRS has no more news of a launch.", region=TEXT, jobId=TEXT, launches=OBJECT, usable=maybe(OBJECT),
        logDigest=TEXT, **_LAUNCH,
    ),
    "launch.doubled": says("One launch has two DRS jobs, which must never happen.", launch=TEXT, jobIds=TEXTS),
}  # fmt: skip

GATES: Mapping[str, EventType] = {
    "gate.approved": says("Somebody approved at a gate.", resumedTime=maybe(TIME), **_GATE),
    "gate.declined": says("Somebody declined at a gate.", reason=TEXT, **_GATE),
    "gate.lapsed": says("Approvals lapsed.", wave=WHOLE, approvers=TEXTS, text=TEXT),
    "gate.reminded": says("People were told again of a gate that waits.", wave=WHOLE),
    "gate.broken": says(
        "A gate was passed without what it asks for.", reason=TEXT, missing=WHOLE, resumedTime=TIME, **_GATE
    ),
}

CLEAN_UP: Mapping[str, EventType] = {
    "terminate.sent": says("AWS accepted a termination.", jobId=TEXT, region=TEXT, instances=TEXTS),
    "terminate.waits": says("A termination waits.", region=TEXT, text=TEXT),
    "terminate.refused": says("AWS refused a termination.", region=TEXT, instances=TEXTS, text=TEXT),
    "terminate.split": says("A termination goes on in two parts.", region=TEXT, apart=TEXTS, rest=TEXTS, text=TEXT),
    "terminate.gone": says("Instances are terminated.", jobId=TEXT, region=TEXT, instances=TEXTS),
    "terminate.found_gone": says("Instances were gone already.", region=TEXT, instances=TEXTS),
    "terminate.unknown": says("DRS does not know instances, which may run on.", region=TEXT, instances=TEXTS),
    "terminate.ended": says(
        "A termination is over.", jobId=TEXT, terminated=TEXTS, failed=TEXTS, codes=maybe(OBJECT)
    ),
    "terminate.proved": says("DRS was asked what is left.", instances=TEXTS, proof=OBJECTS),
    "instance.terminate": says("Somebody asked for instances that no run launched to be terminated.", instances=TEXTS),
    "instance.terminate.sent": says("AWS accepted that.", instances=TEXTS, region=TEXT, jobId=TEXT),
    "instance.terminate.ended": says(
        "That is over.", instances=TEXTS, region=TEXT, requestedBy=TEXT, text=maybe(TEXT)
    ),
    "instance.terminated": says(
        "Instances were terminated, by somebody else, or by a request that AWS had not answered at `unansweredTime`.",
        unansweredTime=maybe(TIME), **_OUTSIDE,
    ),
    "instance.stopped": says("Somebody stopped instances.", **_OUTSIDE),
    "instance.running": says("Instances run again.", **_OUTSIDE),
    "instance.left_drs": says("DRS does not list instances any more.", **_OUTSIDE),
    "instance.protected": says("Somebody protects instances with DRS.", **_OUTSIDE),
    "instances.replaced": says("A launch replaced instances.", instances=TEXTS),
}  # fmt: skip

LEASES: Mapping[str, EventType] = {
    "lease.warned": says("A lease ends soon.", instances=TEXTS, leaseEndsTime=known(TIME), warnedTime=TIME),
    "lease.over": says("Instances outlived their lease.", instances=TEXTS, leaseEndsTime=known(TIME), overTime=TIME),
    "lease.ended": says(
        "Instances are terminated because their lease is over; of those of `waits` AWS does not say yet what they are.",
        instances=TEXTS, leftAlone=TEXTS, waits=maybe(TEXTS), leaseEndsTime=known(TIME), overTime=TIME,
    ),
    "lease.extend": says("A lease was extended.", hours=WHOLE, extendedTime=TIME, leaseEndsTime=maybe(TIME)),
}  # fmt: skip
