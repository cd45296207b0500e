"""Going on in another installation: the rows of a bundle put in, the epoch raised, AWS told, and the runs under way
looked for at AWS before anything is launched. In that order: docs/adr/0114-takeover.md says why."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from audit.actor import SYSTEM
from audit.journal import record
from contract.clock import db_clock
from executions import installation
from executions.launching import restored_runs
from executions.models import Execution, Installation
from takeover import bundle, marks, rows, sealed
from takeover.marks import Tell

NEVER = datetime(9000, 1, 1, tzinfo=UTC)  # no engine takes a row that is never due


class Refused(Exception):
    """Why nothing was done; a sentence for whoever typed the command."""


def take_over(content: bytes, tell: Tell) -> list[Execution]:
    """Make this empty installation the successor of the one that wrote the bundle; answers its runs under way."""
    try:
        manifest, packed = sealed.open_sealed(content)
    except sealed.Broken as error:
        raise Refused(str(error)) from error
    _check_version(manifest)
    told = json.loads(packed)
    with transaction.atomic():
        if used := rows.in_use():
            raise Refused(f"This installation is in use: it has {used}. Take over with an empty database.")
        rows.put_in(told["tables"], told["roles"])
        _succeed(manifest["installation"])
        Execution.objects.active().update(next_step_at=NEVER, claim=None)
        record(
            SYSTEM,
            "installation.takeover",
            subject_kind="installation",
            subject_id=manifest["installation"]["key"],
            detail={name: manifest[name] for name in ("madeAt", "version", "journalHead", "runsUnderWay")},
        )
    tell(f"Put in: everything of the bundle of {manifest['madeAt']}, with {manifest['runs']} runs.")
    return claim(tell)


def _check_version(manifest: dict[str, Any]) -> None:
    have, wanted = set(bundle.applied()), set(manifest["migrations"])
    if have != wanted:
        differ = sorted(have ^ wanted)
        raise Refused(
            f"The bundle is of version {manifest['version']}, with other tables ({', '.join(differ[:3])})."
            " Install that version, and run manage.py migrate."
        )


def _succeed(other: dict[str, Any]) -> None:
    installation.own()
    Installation.objects.filter(pk=1).update(
        line=other["line"], key=uuid.uuid4(), epoch=other["epoch"] + 1, bundled_mark="", bundled_runs=[]
    )


def claim(tell: Tell) -> list[Execution]:
    """Tell AWS that this installation launches, and have engines look there for all that the runs under way have
    launched. Again after it was interrupted; and where another one took over by mistake."""
    first, all_others = marks.of_runs(), marks.of_groups()
    ours = installation.own()
    seen = marks.highest(str(ours.line), {**all_others, **first}, tell)
    if seen >= ours.epoch and ours.took_over_at is None and not ours.superseded_by:
        tell(
            f"ANOTHER INSTALLATION HAS TAKEN OVER BEFORE, as epoch {seen}: this bundle, of epoch {ours.epoch - 1}, is"
            f" older than what that one knew. If there is a drsorch-bundle-{seen:04}-….zip, empty this database and"
            " take over from that one instead."
        )
    if seen >= ours.epoch or ours.superseded_by or ours.took_over_at is not None:
        ours.epoch = max(seen, ours.epoch, _epoch_of(ours.superseded_by)) + 1
        Installation.objects.filter(pk=1).update(epoch=ours.epoch)
    mark = installation.mark_of(ours)
    tell(
        f"This installation launches from now on, as epoch {mark.epoch}. One with a lower epoch stops when it sees it."
    )
    marks.write(mark, first, tell)
    with transaction.atomic():
        # Of the runs that are here already some began later by the clock of the installation that was lost.
        begun = Execution.objects.aggregate(last=Max("started_at"))["last"]
        now = max(filter(None, (db_clock(), begun)))
        Installation.objects.filter(pk=1).update(took_over_at=now, superseded_by="", superseded_at=None)
        record(
            SYSTEM, "installation.claim", subject_kind="installation", subject_id=mark.key, detail={"epoch": mark.epoch}
        )
        runs = restored_runs.prepare_for_recount(db_clock)
    marks.write(mark, {place: sorted(set(ids) - set(first.get(place, ()))) for place, ids in all_others.items()}, tell)
    return runs


def _epoch_of(mark: str) -> int:
    found = installation.Mark.read(mark)
    return found.epoch if found else 0
