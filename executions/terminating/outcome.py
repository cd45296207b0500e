"""What became of a request to terminate instances, told apart: accepted, already gone, unknown to DRS, failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from contract.errors import DomainError
from contract.plurals import counted
from executions.codes.aws import UNKNOWN
from executions.codes.explain import explain
from executions.codes.ours import Code
from executions.models import Execution, ServerRun, TerminationJob
from executions.states import JobStatus, LaunchStatus
from executions.terminating.instances import Place, launched, terminable_by_region
from executions.terminating.replacements import Replacement, replacements


@dataclass(frozen=True)
class Failure:
    """An instance that DRS did not terminate, or could not be asked for; one that has no id yet has its server's."""

    recovery_instance_id: str
    code: str
    message: str
    source_server_id: str = ""
    hostname: str = ""

    @property
    def key(self) -> str:
        """What it is found by: the instance, or else its server."""
        return self.recovery_instance_id or self.source_server_id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.hostname} ({self.key})" if self.hostname else self.key


_KEYS = ("source_server_id", "recovery_instance_id")


@dataclass
class TerminationResult:
    """What was asked of DRS and accepted, what was refused, and the DRS jobs that do it. `waiting` are those of
    `terminated` that DRS is asked for when it has ended the job that launched them, or has room; `unconfirmed` those
    whose request had no clear answer, and is looked up; `already_gone` ended
    without this product's asking, `replaced` those of them that ended for a later launch; `unknown` are instances that
    DRS does not list any more, which may run on."""

    terminated: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    jobs: list[TerminationJob] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    already_gone: list[str] = field(default_factory=list)
    replaced: list[Replacement] = field(default_factory=list)
    unknown: list[Failure] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many instances DRS itself has accepted."""
        return len(self.terminated) - len(self.waiting) - len(self.unconfirmed)

    @property
    def ended_elsewhere(self) -> list[str]:
        """Those that are gone without a request that DRS accepted, nor for a later launch."""
        replaced = {key for each in self.replaced for key in each.instances}
        return [each for each in self.already_gone if each not in replaced]

    @property
    def summary(self) -> str:
        """How many of each, in a line. Without a job nothing was asked for."""
        asked_for = {each for job in self.jobs for each in job.instance_ids}
        unconfirmed = sum(each in asked_for for each in self.ended_elsewhere)  # it may have been these requests
        counts = (
            (sum(len(each.instances) for each in self.replaced), "replaced by a later launch"),
            (unconfirmed, "ended without a request that AWS confirmed"),
            (len(self.ended_elsewhere) - unconfirmed, "ended without a request"),
            (len(self.unknown), "unknown to DRS"),
        )
        asked = [f"{counted(self.taken, 'instance')} accepted by AWS"] if self.jobs else []
        asked += [f"{len(self.waiting)} waiting"] if self.waiting else []
        asked += [f"{len(self.unconfirmed)} not confirmed yet"] if self.unconfirmed else []
        failed = [f"{len(self.failed)} failed"] if self.jobs or self.failed else []
        return ", ".join([*asked, *(f"{count} {text}" for count, text in counts if count), *failed])

    @property
    def reasons(self) -> list[str]:
        """What the failures mean and what to try, each said once, and none that its failure says by itself."""
        told = {explain(each.message, each.code): each.message for each in self.failed}
        return [str(reason) for reason, text in told.items() if reason is not UNKNOWN and str(reason) not in text]

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell of a clean-up."""
        return bool(self.jobs or self.already_gone or self.unknown)


def result(execution: Execution, silent: Mapping[Place, DomainError] | None = None) -> TerminationResult:
    """The recorded outcome: what DRS accepted or has done, and what failed and was not retried with success. `silent`
    are the places that could not be asked just now."""
    gone = ServerRun.launches.filter(wave__execution=execution, launch_status=LaunchStatus.TERMINATED)
    ended = set(gone.values_list("recovery_instance_id", flat=True)) - {""}
    jobs = list(execution.terminations.order_by("pk"))
    accepted: dict[str, None] = {}
    failed: dict[str, Failure] = {}
    for job in jobs:
        for each in job.instance_ids:
            failed.pop(each, None)
            if each in job.failures and not (each in ended and job.job_id):
                failed[each] = Failure(each, job.failures[each]["code"], job.failures[each]["message"])
                accepted.pop(each, None)
            else:
                accepted[each] = None
    if jobs or silent is not None:
        failed |= {failure.key: failure for failure in _not_requested(execution, silent or {})}
    unknown = [_unknown_to_drs(server) for server in launched(execution) if server.is_unknown_to_drs]
    not_failed = ended | {each.key for each in unknown}
    terminated = [each for each in accepted if each not in failed]
    waiting = {each for job in jobs if job.state is JobStatus.QUEUED for each in job.instance_ids}
    unclear = {each for job in jobs if job.state is JobStatus.INITIATED for each in job.instance_ids} - waiting
    in_order = gone.order_by("wave__number", "position").values_list("recovery_instance_id", flat=True)
    already_gone = [each for each in in_order if each and each not in accepted]
    return TerminationResult(
        terminated=terminated,
        failed=_named(execution, [failure for key, failure in failed.items() if key not in not_failed]),
        jobs=jobs,
        waiting=[each for each in terminated if each in waiting],
        unconfirmed=[each for each in terminated if each in unclear],
        already_gone=already_gone,
        replaced=replacements(execution, already_gone) if already_gone else [],
        unknown=unknown,
    )


def _named(execution: Execution, failed: list[Failure]) -> list[Failure]:
    """Each with its server's name, as nobody knows an instance by its id."""
    if not failed:
        return []
    servers = ServerRun.launches.filter(wave__execution=execution)
    names = {key: name for *keys, name in servers.values_list(*_KEYS, "hostname") for key in keys}
    return [replace(each, hostname=names.get(each.key, "")) for each in failed]


def _unknown_to_drs(server: ServerRun) -> Failure:
    name = server.recovery_instance_id or f"the instance of {server.source_server_id}"
    text = (
        f"Unknown to DRS, may still run in EC2: {name} of {server.hostname}, {server.job.region}."
        " It is not known to have been terminated; look for it in the EC2 console."
    )
    return Failure(server.recovery_instance_id, Code.UNKNOWN_TO_DRS, text, server.source_server_id)


def _not_requested(execution: Execution, silent: Mapping[Place, DomainError]) -> Iterator[Failure]:
    """Servers that are up and that DRS was not asked to terminate: it does not answer, or never told the instance."""
    for place, servers in terminable_by_region(execution).items():
        for server in servers:
            if trouble := silent.get(place):
                yield Failure(server.recovery_instance_id, trouble.code, trouble.message, server.source_server_id)
            elif not server.recovery_instance_id:
                text = (
                    f"DRS has not reported the instance ID of {server.hostname} ({server.source_server_id})."
                    f" Terminate again, or look for it in {place[1]} in the EC2 console."
                )
                yield Failure("", Code.INSTANCE_NOT_KNOWN, text, server.source_server_id)
