"""Servers that an ended job has left open: given up only when DRS, asked which instances there are, lists none."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import Q

from audit.safe_text import storable
from contract.storage.prepared import PreparedAmong
from drs.shapes import JOB_COMPLETED
from executions.models import LaunchJob, ServerRun, WaveRun
from executions.observing.drs_answers import Answer, Question
from executions.observing.server_outcome import WITHOUT_CAUSE
from executions.querysets import STANDING
from executions.runs import transitions
from executions.states import WAVE_BEGUN, LaunchStatus
from plans.models import SuccessMeans

UNLISTED = "AWS has ended the job and does not say which instances it launched; asking before any server is given up."


_OF_JOB = ("job__job_id", "source_server_id")
_SETTLED = Q(launch_status=LaunchStatus.TERMINATED) | Q(launch_status=LaunchStatus.FAILED) & ~Q(error__in=WITHOUT_CAUSE)
_OPEN = PreparedAmong(
    LaunchJob,
    "job_id",
    lambda ids: (
        ServerRun.objects.filter(job__job_id__in=ids)
        .exclude(launch_status__in=[LaunchStatus.LAUNCHED, LaunchStatus.TERMINATED])
        .values_list(*_OF_JOB)
    ),
)
_UNSEEN = PreparedAmong(
    LaunchJob,
    "job_id",
    lambda ids: (
        ServerRun.objects.filter(job__job_id__in=ids, instance_state="").exclude(_SETTLED).values_list(*_OF_JOB)
    ),
)
_MAY_FAIL_YET = Q(wave__status__in=WAVE_BEGUN) & ~Q(wave__success_means=SuccessMeans.LAUNCHED)
_UNCHECKED = PreparedAmong(
    LaunchJob,
    "job_id",
    lambda ids: (
        ServerRun.objects.filter(STANDING, Q(checks_passed_at=None) | _MAY_FAIL_YET, job__job_id__in=ids)
        .exclude(recovery_instance_id="")
        .values_list("recovery_instance_id")
    ),
)


def _by_job(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for job_id, server in rows:
        found[job_id].append(server)
    return found


def open_servers(answer: Answer) -> dict[str, list[str]]:
    """By job that has ended: servers of which nobody knows yet that they launched."""
    ended = [job.job_id for job in answer.jobs.values() if job.status == JOB_COMPLETED]
    return _by_job(_OPEN.rows(ended))


def unseen_servers(job_ids: Collection[str]) -> dict[str, list[str]]:
    """By job: servers of whose instances nobody has looked at one yet, and failed ones without AWS's words."""
    return _by_job(_UNSEEN.rows(job_ids))


def unchecked_instances(job_ids: Collection[str]) -> list[str]:
    """Instances of these jobs whose status checks have not been seen to pass, or whose wave waits for others'."""
    return sorted(instance for (instance,) in _UNCHECKED.rows(job_ids))


def report_unlisted(question: Question, answer: Answer, now: datetime) -> None:
    """While DRS does not say which instances an ended job has launched, none of its servers is given up: say why."""
    waves = WaveRun.objects.filter(status__in=WAVE_BEGUN, jobs__job_id__in=list(question.open_servers))
    waves = waves.filter(
        servers__launch_status__in=[LaunchStatus.PENDING, LaunchStatus.IN_PROGRESS],
        servers__job__job_id__in=list(question.open_servers),
    )
    if answer.listed:
        waves, text = waves.filter(status_message__startswith=UNLISTED), ""
    else:
        text = f"{UNLISTED} (DRS in {question.region}: {answer.error.code if answer.error else 'no answer'})"
        waves = waves.exclude(status_message=text)
    found = dict(waves.values_list("pk", "execution_id")) if question.open_servers else {}
    if found:
        WaveRun.objects.filter(pk__in=list(found), status__in=WAVE_BEGUN).update(status_message=storable(text))
        transitions.touch_all(set(found.values()), now, list(found))
