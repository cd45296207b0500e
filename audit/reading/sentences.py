"""Entries of the journal in words, with links to what they are about.

What is known of runs, plans and groups is known above this room: it is asked by the names that the settings give.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.module_loading import import_string

from audit.actor import ENGINE
from audit.journal import OK
from audit.models import AuditEntry
from contract.status import Tone

# What people and the system do, as one says what one is going to do.
DEEDS: Mapping[str, str] = {
    "access.break_glass": "use the break-glass command",
    "aws_account.check": "check the AWS account",
    "aws_account.create": "add the AWS account",
    "aws_account.delete": "remove the AWS account",
    "aws_account.update": "change the AWS account",
    "configuration.apply": "apply a configuration",
    "database.backup": "back up the database",
    "database.restore": "restore the database from a backup",
    "drill_request.confirm": "start the drill that was asked for",
    "drill_request.create": "ask for a drill",
    "drill_request.decline": "decline the drill that was asked for",
    "execution.abandon": "give up waiting for AWS",
    "execution.archived": "archive the run",
    "execution.cancel": "cancel the run",
    "execution.delete": "delete the run",
    "execution.evidence": "create an evidence pack",
    "execution.hide": "hide finished runs",
    "execution.pause": "ask for a pause before the next wave",
    "execution.resume": "resume the run",
    "execution.retry": "try the run again",
    "execution.signed_off": "sign off the run",
    "execution.start": "start a run",
    "execution.terminate": "terminate the instances of the run",
    "finding.changed": "change a finding",
    "finding.closed": "close a finding",
    "finding.filed": "file a finding",
    "gate.approved": "approve the gate",
    "gate.broken": "pass the gate without what it asks for",
    "gate.declined": "decline the gate",
    "group.create": "create the protection group",
    "group.delete": "delete the protection group",
    "group.update": "change the protection group",
    "instance.terminate": "terminate instances",
    "inventory.scan": "read all regions",
    "lease.extend": "extend the lease",
    "notification.given_up": "give up on a notification",
    "plan.create": "create the recovery plan",
    "plan.delete": "delete the recovery plan",
    "plan.import": "import a recovery plan of DRS",
    "plan.native": "write the plan to DRS",
    "plan.native_removed": "remove the copy of the plan in DRS",
    "plan.update": "change the recovery plan",
    "request.refused": "send a request",
    "role.give": "give a role",
    "role.take": "take a role away",
    "schedule.cancelled": "call off a drill by schedule",
    "schedule.create": "create a schedule",
    "schedule.delete": "delete a schedule",
    "schedule.update": "change a schedule",
    "server.excluded": "leave a server out",
    "service_client.create": "add a client of the identity provider as a program",
    "service_client.revoke": "revoke the client of a program",
    "service_token.create": "create a token for a program",
    "service_token.revoke": "revoke the token of a program",
    "session.end": "sign out",
    "session.expire": "end a session that was idle",
    "session.renew": "renew the session",
    "session.start": "sign in",
    "subscription.create": "create the notification",
    "subscription.delete": "delete the notification",
    "subscription.test": "send a test of the notification",
    "subscription.update": "change the notification",
    "token.create": "create a token",
    "user.password": "change the password",
    "user.switch_off": "switch the person's access off",
    "user.switch_on": "switch the person's access on",
    "wave.retried": "launch failed servers of a wave again",
    "wave.skipped": "skip a wave",
    "wave.started_now": "end the wait before a wave",
}
IRREGULAR = {
    "ask": "asked", "back": "backed", "begin": "began", "end": "ended", "give": "gave", "hide": "hid", "leave": "left",
    "read": "read", "send": "sent", "sign": "signed", "take": "took", "try": "tried", "write": "wrote",
    "cancel": "cancelled",
}  # fmt: skip
# Members of what a change replaced, where their names are no words.
FIELDS = {
    "planName": "name", "groupName": "name", "sourceServerIds": "servers", "rtoMinutes": "RTO", "rpoMinutes": "RPO",
    "drillLeaseHours": "drill lease", "drillLeaseEnds": "end of the drill lease", "startGate": "start gate",
    "mirrorToDrs": "copy in DRS",
}  # fmt: skip
NOUNS = {"execution": "run", "aws_account": "AWS account", "service_token": "token", "service_client": "client"}
OF_A_REQUEST = re.compile(r"[A-Z]+ /")  # the name of what was refused before anybody knew what it was about
SAID_ON_THE_PAGE = {"VALIDATION_ERROR": "what was typed or chosen was not valid, as the page said then"}
UNSAID = {"version"}  # grows with every change


def past(deed: str) -> str:
    """The same once it is done."""
    verb, _, rest = deed.partition(" ")
    done = IRREGULAR.get(verb) or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
    return f"{done} {rest}".strip()


def sentence(entry: AuditEntry) -> str:
    """What was done, or tried, and why it was refused."""
    deed = DEEDS.get(entry.verb, "")
    if entry.refused:
        return f"Tried to {deed or _plain(entry.verb)}: {why_refused(entry)}"
    if found := _told_above(entry):
        return found
    text = past(deed) if deed else _plain(entry.verb)
    changed = [field_words(name) for name in changed_fields(entry)] if entry.before and entry.after else []
    which = f": {', '.join(changed)}" if changed else ""
    comment = entry.detail.get("comment")
    outcome = "" if entry.outcome == OK else f" ({entry.outcome})"
    return f"{text[:1].upper()}{text[1:]}{which}{outcome}{f', “{comment}”' if comment else ''}"


def why_refused(entry: AuditEntry) -> str:
    return str(entry.detail.get("message") or SAID_ON_THE_PAGE.get(entry.outcome, entry.outcome))


def changed_fields(entry: AuditEntry) -> list[str]:
    """The members that differ between what was and what is, by their words: databases keep them in orders of theirs."""
    before, after = entry.before or {}, entry.after or {}
    found = [name for name in {**before, **after} if before.get(name) != after.get(name) and name not in UNSAID]
    return sorted(found, key=lambda name: field_words(name).casefold())


def _plain(verb: str) -> str:
    kind, _, deed = verb.partition(".")
    return f"{deed} {kind}".replace("_", " ").strip()


def field_words(name: str) -> str:
    """A member of what the journal keeps as a person calls it."""
    spaced = "".join(f" {each.lower()}" if each.isupper() else each for each in name)
    return FIELDS.get(name, spaced.strip())


@cache
def _words_of(kind: str) -> Callable[[AuditEntry], str] | None:
    path = settings.JOURNAL_WORDS.get(kind)
    return cast("Callable[[AuditEntry], str]", import_string(path)) if path else None


def _told_above(entry: AuditEntry) -> str:
    words = _words_of(entry.subject_kind)
    return words(entry) if words else ""


class Outcome(NamedTuple):
    """How it ended, in words and in a tone."""

    tone: Tone
    text: str


def outcome(entry: AuditEntry) -> Outcome:
    """What somebody did is done; what the engine merely saw, good or bad, is recorded; a run ends in a status."""
    if entry.refused:
        return Outcome(Tone.DANGER, f"Refused: {entry.outcome}")
    if entry.outcome == OK:
        is_deed = entry.verb in DEEDS or entry.actor_kind != ENGINE.kind
        return Outcome(Tone.SUCCESS, "Done") if is_deed else Outcome(Tone.NEUTRAL, "Recorded")
    if entry.verb == "execution.ended":
        return Outcome(Tone.SUCCESS if entry.outcome == "COMPLETED" else Tone.ATTENTION, entry.outcome.capitalize())
    return Outcome(Tone.ATTENTION, entry.outcome)


# Links


@dataclass(frozen=True)
class Told:
    """An entry as the page shows it. `about` are (text, address) pairs; without an address it is there no more, or has
    no page. `by` leads to all that somebody did, `all` to all that is told of the same thing."""

    entry: AuditEntry
    text: str
    about: Sequence[tuple[str, str]]
    by: str
    all: str

    @property
    def outcome(self) -> Outcome:
        return outcome(self.entry)


def told(entries: Sequence[AuditEntry]) -> list[Told]:
    """These entries in words; a query for each kind of thing that they are about, however many they are."""
    known = _things(entries)
    return [
        Told(each, sentence(each), tuple(_about(each, known)), _filtered(actor=each.actor_id or each.actor), _all(each))
        for each in entries
    ]


Things = Mapping[tuple[str, str], Any]


def _things(entries: Iterable[AuditEntry]) -> Things:
    """What is still there of what the entries are about, by kind and id."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for each in entries:
        wanted[each.subject_kind].add(each.subject_id)
        if server := _server(each):
            wanted["server"].add(server)
    return {
        (kind, str(thing.pk)): thing
        for kind, ids in wanted.items()
        if kind in settings.JOURNAL_THINGS
        for thing in _found(settings.JOURNAL_THINGS[kind], ids)
    }


def _found(of: Mapping[str, Any], ids: Iterable[str]) -> Iterable[Any]:
    model = apps.get_model(of["model"])
    keys = []
    for each in ids:
        try:
            keys.append(model._meta.pk.to_python(each))
        except ValidationError:  # the name of something that was not made
            continue
    return cast("Iterable[Any]", model._default_manager.filter(pk__in=keys).only(*of["reads"], of["name"]))


def _about(entry: AuditEntry, known: Things) -> Iterable[tuple[str, str]]:
    kind = entry.subject_kind
    noun = NOUNS.get(kind, kind)
    thing = known.get((kind, entry.subject_id))
    given = "" if thing and OF_A_REQUEST.match(entry.subject_name) else entry.subject_name
    name = given or (getattr(thing, settings.JOURNAL_THINGS[kind]["name"]) if thing else entry.subject_id)
    called = getattr(thing, "called", noun)
    joined = " of " if kind == "execution" else " "
    text = f"{called}{joined}{name}".replace("_", " ") if name not in ("", "-") else noun
    yield text, _page(kind, entry.subject_id) if thing else ""
    server = known.get(("server", _server(entry)))
    if server is not None:
        yield f"server {server.name}", _page("server", server.pk)


def _page(kind: str, key: str) -> str:
    return reverse(str(settings.JOURNAL_THINGS[kind]["page"]), args=[key])


def _server(entry: AuditEntry) -> str:
    found = entry.detail.get("sourceServerId")
    return found if isinstance(found, str) else ""


def _all(entry: AuditEntry) -> str:
    has_id = entry.subject_id not in ("", "-")
    return _filtered(subject=entry.subject_id if has_id else entry.subject_name)


def _filtered(**by: str) -> str:
    return f"{reverse('journal')}?{urlencode(by)}"
