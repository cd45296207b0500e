"""Two engines on one database whose processes are killed at random, and an AWS that misbehaves: what became of it.

    script/chaos [--database sqlite|postgres] [--seconds N] [--kills N] [--quota N] [--seed N] [--kind] [--scenario …]
        [--control]

Launches many small runs with pauses, resumes and cancels, waits for all of them to end once the killing has stopped,
and compares what was needed with what DRS was asked. Exits non-zero for any doubled, missed or unfinished launch.
Besides lost answers, DRS is as unkind as in the field (`UNKIND`), unless --kind; --scenario adds others of the
simulator's. The evidence pack of every run is checked. With --control, reconciliation is taken out of the engines: then
doubles must show.
"""

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import django

from drs_simulator.world.scenarios import from_text

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("main", "sentinel", "worker", "worker", "worker", "helper", "tree")
SILENCE = 180.0  # seconds without any beat after which engines are given up
SERVERS = 60  # one each for the waves of twenty plans: within DRS's quota of twenty jobs most of the time
ENGINE = "from tests.support.chaos import engine_without_reconciliation as run; run()"


def engine_without_reconciliation() -> None:
    """The control: an engine that sends again whatever was not confirmed."""
    django.setup()
    from django.core.management import call_command

    from executions.launching import launch
    from executions.runs.aws_calls import AwsCalls

    def look_nowhere(*_: object) -> AwsCalls[bool]:
        yield from ()
        return False

    setattr(launch, "_adopt_if_found", look_nowhere)  # noqa: B010
    setattr(launch, "adopt_found", lambda *_: False)  # noqa: B010
    call_command("engine")


# Scenarios that strike at random, each by its probability: a call for those of answers, a server for those of jobs.
UNKIND: tuple[tuple[str, float, dict[str, object]], ...] = (
    ("strange_jobs", 0.5, {}),
    ("tags_lost", 0.1, {"operation": ["StartRecovery", "DescribeJobs"]}),
    ("unknown_status", 0.1, {}),
    ("missing_members", 0.05, {"members": ["creationDateTime"], "operation": "DescribeJobs"}),
    ("short_pages", 0.1, {"size": 20, "operation": "DescribeJobs"}),
    ("late_rows", 0.2, {"seconds": 300.0}),
    ("untold_launches", 0.1, {}),
    ("late_instance_id", 0.1, {"seconds": 300.0}),
    ("launch_actions", 0.2, {}),
    ("launch_end_event", 0.3, {}),
    ("conversion_retried", 0.05, {}),
    ("launch_failed", 0.03, {}),
    ("template_gone", 0.02, {}),
    ("network_recovery_fails", 0.02, {}),
    ("dies_at_once", 0.03, {}),
)


@dataclass
class Supervised:
    """An engine that is started again whenever it ends, as a supervisor would."""

    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    def keep_alive(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)
            self.starts += 1

    def strike(self, dice: random.Random) -> str:
        """Kill one process of the tree, or all of it; answers which, or nothing when there was none."""
        from tests.support.processes import children

        if self.process is None or self.process.poll() is not None:
            return ""
        main = self.process.pid
        sentinels = children(main)
        below = [pid for each in sentinels for pid in children(each)]
        if len(below) < 3:
            return ""
        workers, helpers = below[:-2], below[-2:]  # the monitor and the pusher are started last
        role = dice.choice(ROLES)
        victims = {
            "main": [main],
            "sentinel": sentinels,
            "worker": [dice.choice(workers)],
            "helper": [dice.choice(helpers)],
            "tree": [main, *sentinels, *below],
        }[role]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return role

    def last_words(self) -> str:
        """What its processes are at, and the end of its log."""
        from tests.support.processes import descendants

        for pid in descendants(self.process.pid) if self.process is not None else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)  # Python tells where each thread is
        time.sleep(2)
        return f"--- {self.log.name}, started {self.starts} times\n" + self.log.read_text(errors="replace")[-8000:]

    def end(self) -> None:
        from tests.support.processes import descendants

        if self.process is not None and self.process.poll() is None:
            for pid in descendants(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait(10)


@dataclass
class Outcome:
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    needed: int = 0
    sent: int = 0
    doubled: int = 0
    missed: list[str] = field(default_factory=list)
    alike: int = 0  # somebody else's drill of the same server at the same time, to which five minutes are twelve hours
    adopted: int = 0
    resent: int = 0
    unfinished: list[str] = field(default_factory=list)  # what each of those runs waits for
    packs: int = 0
    wrong: list[str] = field(default_factory=list)  # what the verifier says of packs
    struck: Counter[str] = field(default_factory=Counter)  # how often each scenario struck
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        return not (self.doubled or self.missed or self.unfinished or self.wrong)

    def show(self) -> str:
        kills = ", ".join(f"{count} {role}" for role, count in sorted(self.kills.items()))
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"kills {sum(self.kills.values())} ({kills}) · runs {self.runs} ({ends})\n"
            f"launches needed/sent {self.needed}/{self.sent} · doubled {self.doubled} · missed {len(self.missed)}"
            f" · taken for another's {self.alike} · adopted {self.adopted} · re-sent {self.resent}"
            f" · unfinished {len(self.unfinished)}\n"
            f"{''.join(f'  {each}{chr(10)}' for each in [*self.missed, *self.unfinished])}"
            f"packs {self.packs}, of which do not verify {len(self.wrong)} {self.wrong[:3] or ''}\n"
            f"scenarios: {', '.join(f'{count} {name}' for name, count in sorted(self.struck.items()))}"
        )


class Chaos:
    """The world: simulator, plans, engines, and the dice."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        from drs_simulator.testing import RunningSimulator

        self.options = options
        self.dice = random.Random(options.seed)
        self.outcome = Outcome()
        self.simulator = RunningSimulator(os.environ["AWS_ENDPOINT_URL_DRS"])
        command = [sys.executable, "-c", ENGINE] if options.control else [sys.executable, "manage.py", "engine"]
        self.engines = [Supervised(command, scratch / f"engine-{number}.log") for number in (1, 2)]

    def prepare(self) -> None:
        from audit.actor import SYSTEM
        from drs_simulator.world.fleet import generate_fleet
        from plans.fields import WaveSpec
        from plans.services import create_plan
        from protection.inventory.source_servers import read_region
        from protection.models import SourceServer
        from protection.services import create_group

        self.simulator.load_fleet(generate_fleet(SERVERS))
        self.simulator.set_speed(150)  # a job takes three to five seconds
        read_region("us-east-1")
        ids = list(SourceServer.objects.order_by("pk").values_list("pk", flat=True))
        self.servers = ids
        self.plans = []
        for number in range(0, SERVERS, 3):
            group = create_group(
                actor=SYSTEM, name=f"g{number}", region="us-east-1", source_server_ids=ids[number : number + 3]
            )
            waves = [
                WaveSpec(
                    name=each, group_ids=[group.pk], server_ids=[each], pause_before=index == 2 and number % 2 == 0
                )
                for index, each in enumerate(ids[number : number + 3])
            ]
            self.plans.append(create_plan(actor=SYSTEM, name=f"p{number}", waves=waves).pk)
        self.misbehave()

    def others_act(self) -> None:
        """Somebody starts a drill of a server, in DRS's console, stops an instance, or takes one out of DRS."""
        name = self.dice.choice(("foreign_job", "ec2_stopped", "ec2_terminated", "left_drs"))
        with suppress(ValueError):  # it is busy, or has no instance
            self.simulator.scenario(name, servers=[self.dice.choice(self.servers)], region="us-east-1")
            self.outcome.struck[name] += 1

    def misbehave(self) -> None:
        """What goes wrong at AWS: late visibility, lost answers, late effects, throttling, 500s after the effect."""
        chance: list[tuple[str, float, dict[str, object]]] = [
            ("late_landing", 0.05, {"seconds": 1.0}),
            ("drop_connection_after_effect", 0.06, {}),
            ("internal_error_after_effect", 0.05, {}),
            ("internal_error_before", 0.02, {}),
            ("throttle", 0.05, {}),
            ("hang", 0.10, {"seconds": 0.4, "when": "before"}),
            ("hang", 0.10, {"seconds": 0.4, "when": "after"}),
        ]
        for name, probability, more in chance:
            seed = self.dice.randrange(1000)
            options = {"operation": "StartRecovery", "probability": probability, "seed": seed, **more}
            self.simulator.scenario(name, **options)
        for operation in ("DescribeJobs", "DescribeJobLogItems"):
            self.simulator.scenario("throttle", operation=operation, probability=0.05, seed=self.dice.randrange(1000))
        self.simulator.scenario("visibility_delay", seconds=1.0, probability=0.5)
        for name, probability, more in () if self.options.kind else UNKIND:
            self.simulator.scenario(name, probability=probability, seed=self.dice.randrange(1000), **more)
        for text in self.options.scenario:
            name, more = from_text(text)
            self.simulator.scenario(name, **more)

    def act(self) -> None:
        """People at work: start what is idle, resume what is paused, now and then pause or cancel something."""
        from audit.actor import SYSTEM
        from contract.errors import DomainError
        from executions.commands import control as services
        from executions.models import Execution
        from executions.states import Kind

        for plan in self.dice.sample(self.plans, 3):
            try:
                services.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL)
                self.outcome.runs += 1
            except DomainError:
                continue
        for execution_id, status in Execution.objects.active().values_list("pk", "status"):
            try:
                if status == "PAUSED" and self.dice.random() < 0.7:
                    services.resume(actor=SYSTEM, execution_id=execution_id)
                elif self.dice.random() < 0.01:
                    services.cancel(actor=SYSTEM, execution_id=execution_id)
                elif self.dice.random() < 0.02:
                    services.pause(actor=SYSTEM, execution_id=execution_id)
            except DomainError:
                continue

    def rage(self) -> None:
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end and sum(self.outcome.kills.values()) < self.options.kills:
            for engine in self.engines:
                engine.keep_alive()
            self.act()
            if not self.options.kind and self.dice.random() < 0.1:
                self.others_act()
            time.sleep(self.dice.uniform(0.2, self.options.pace))
            if role := self.dice.choice(self.engines).strike(self.dice):
                self.outcome.kills[role] += 1

    def settle(self) -> None:
        """No more kills, no more faults: everything must end. Given up where engines beat and nothing goes on, or where
        none beats: a busy machine may take its time."""
        from audit.actor import SYSTEM
        from executions.commands import control as services
        from executions.models import Execution
        from executions.pacemaker import last_beat
        from tests.support.processes import how_far

        for each in self.simulator.scenarios():
            self.outcome.struck[str(each["name"])] += cast("int", each["hits"])
        self.simulator.clear_scenarios()
        idle, beat = 0, None
        progress: list[object] = []
        end = time.monotonic() + SILENCE
        while Execution.objects.active().exists() and idle < self.options.patience and time.monotonic() < end:
            for engine in self.engines:
                engine.keep_alive()
            for execution_id in Execution.objects.filter(status="PAUSED").values_list("pk", flat=True):
                services.resume(actor=SYSTEM, execution_id=execution_id)
            time.sleep(1)
            before, last, progress, beat = progress, beat, how_far(), last_beat()
            if beat != last:
                idle, end = idle + 1, time.monotonic() + SILENCE
            if progress != before:
                idle = 0

    def count(self) -> Outcome:
        """What was needed, by our books; what was done, by DRS's."""
        from audit.models import AuditEntry
        from contract.clock import db_clock
        from executions.models import Execution, LaunchJob
        from tests.support.packs import found_wrong
        from tests.support.processes import story, story_of_launch, taken_by_servers

        outcome = self.outcome
        needed = set(map(str, LaunchJob.objects.exclude(wave__status="SKIPPED").values_list("pk", flat=True)))
        listed = cast("list[dict[str, Any]]", self.simulator.state()["jobs"])
        jobs = [job for job in listed if "drsorch:launch" in job["tags"]]  # the others are somebody else's
        done = Counter(job["tags"]["drsorch:launch"] for job in jobs)
        outcome.needed, outcome.sent = len(needed), sum(done.values())
        outcome.doubled = sum(count > 1 for count in done.values())
        known = set(LaunchJob.objects.exclude(job_id="").values_list("job_id", flat=True))
        unknown = {each["tags"]["drsorch:launch"] for each in jobs if each["jobID"] not in known}
        astray = needed ^ set(done) | {each for each in unknown if done[each] == 1}
        alike = astray & taken_by_servers() - set(done)
        outcome.alike, outcome.missed = len(alike), [story_of_launch(pk, done) for pk in sorted(astray - alike)]
        outcome.adopted = AuditEntry.objects.filter(verb="launch.adopted").count()
        outcome.resent = AuditEntry.objects.filter(verb="launch.cleared").count()
        outcome.unfinished = [story(run) for run in Execution.objects.active()]
        outcome.statuses = Counter(Execution.objects.values_list("status", flat=True))
        for run in Execution.objects.final():
            outcome.packs += 1
            outcome.wrong += found_wrong(run, db_clock())
        return outcome


def environment(control: bool) -> dict[str, str]:
    """Everything scaled to seconds. The quarantine still exceeds the send window plus twice a signature's life."""
    return {
        "PYTHONFAULTHANDLER": "1",
        "DRSORCH_POLL_SECONDS": "0.5",
        "DRSORCH_WORKERS": "3",
        "DRSORCH_SEND_WINDOW_SECONDS": "1",
        "DRSORCH_LAUNCH_QUARANTINE_SECONDS": "1" if control else "8",
        "DRSORCH_LEASE_SECONDS": "4",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="script/chaos", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to kill")
    parser.add_argument("--kills", type=int, default=10_000, help="stop killing after so many")
    parser.add_argument("--pace", type=float, default=1.5, help="seconds between two kills at most")
    parser.add_argument(
        "--patience", type=int, default=120, help="seconds with a beat, and no progress, till it is given up"
    )
    parser.add_argument("--quota", type=int, default=20, help="how many jobs DRS runs at once")
    parser.add_argument("--kind", action="store_true", help="answers are lost, but what DRS tells is whole")
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME[:OPTION=VALUE,…]", help="one more")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--control", action="store_true", help="without reconciliation: doubles must show")
    options = parser.parse_args(arguments)

    from tests import environment as test_environment

    os.environ.update(environment(options.control))
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from drs_simulator.testing import simulator_process

    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    test_environment.RESERVED.close()
    with tempfile.TemporaryDirectory(prefix="drsorch-chaos-") as scratch:
        state = Path(scratch) / "simulator.sqlite3"
        with simulator_process(state, port=test_environment.SIMULATOR_PORT) as simulator:
            simulator.settings(signature_max_age_seconds=3, page_size=100, max_jobs=options.quota)
            chaos = Chaos(options, Path(scratch))
            try:
                chaos.prepare()
                chaos.rage()
                chaos.settle()
                outcome = chaos.count()
                if outcome.unfinished:
                    print(*(engine.last_words() for engine in chaos.engines), sep="\n")
            finally:
                for engine in chaos.engines:
                    engine.end()
    print(f"chaos on {connection.vendor}, seed {options.seed}{', CONTROL' if options.control else ''}")
    print(outcome.show())
    is_right = bool(outcome.doubled) if options.control else outcome.is_good
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
