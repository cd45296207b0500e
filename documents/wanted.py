"""What a document asks for, in full: names and matches resolved, defaults filled in, and all of it held against what
stays as it is. What could not be saved is refused here, at its place."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts import services as accounts
from accounts.home import home_account
from contract.errors import Invalid
from contract.labels.rules import faults as label_faults
from contract.labels.rules import trimmed
from contract.names import hidden_fault, name_key
from documents.format.kinds import DEFAULTS, OF_WAVE, Item, Key, Kind, Spec, called
from documents.format.reading import NAME_MAX, Faults, Written
from documents.stored import HIDDEN, unmasked
from notify import services as subscriptions
from notify.states import SUBSCRIBABLE
from plans.fields import PLAN, WAVE
from protection import services as groups
from protection.inventory.named_servers import Servers, once
from protection.inventory.source_servers import check_region


@dataclass
class Wishes:
    """The objects of one document, resolved one after another against those that are there."""

    current: Mapping[Key, Item]
    faults: Faults
    pruned: frozenset[Kind] = frozenset()
    servers: Servers = field(default_factory=Servers)
    found: dict[Key, Item] = field(default_factory=dict)

    def read(self, written: Sequence[Written]) -> dict[Key, Item]:
        """By kind, so that a plan finds the groups of its document wherever they stand in it."""
        resolve = {
            Kind.ACCOUNT: self._account,
            Kind.GROUP: self._group,
            Kind.PLAN: self._plan,
            Kind.SUBSCRIPTION: self._subscription,
        }
        for kind, add in resolve.items():
            for each in written:
                if each.kind is kind and self._is_named(each):
                    spec = add(each)
                    item = Item(kind, each.name, spec, f"document[{each.number}]")
                    self.found[item.key] = item
        return self.found

    def known(self, kind: Kind, name: str) -> Item | None:
        """As it will be."""
        key = kind, name_key(name)
        return self.found.get(key) or (None if kind in self.pruned else self.current.get(key))

    def _is_named(self, written: Written) -> bool:
        key = written.kind, name_key(written.name)
        if key in self.found:
            self.faults.of(written, "metadata.name", f"Another {called(written.kind)} of this document has this name.")
            return False
        old = self.current.get(key)
        if not 1 <= len(written.name) <= NAME_MAX:
            self.faults.of(written, "metadata.name", f"1 to {NAME_MAX} characters are expected.")
        elif fault := hidden_fault(written.name, [old.name] if old else []):
            self.faults.of(written, "metadata.name", fault)
        return True

    # Accounts

    def _account(self, written: Written) -> Spec:
        old = self.current.get((Kind.ACCOUNT, name_key(written.name)))
        spec = unmasked({**DEFAULTS[Kind.ACCOUNT], **written.spec}, old)
        spec["regions"] = once(spec["regions"])
        wanted = accounts.Wanted(
            written.name, spec["roleArn"], spec["externalId"], spec["regions"], enabled=spec["enabled"]
        )
        had = {"stored_role": old.spec["roleArn"], "stored_regions": old.spec["regions"]} if old else {}
        found = accounts.problems(spec["accountId"], wanted, needs_role=True, stored=written.name, **had)
        if spec["externalId"] == HIDDEN:
            found["externalId"] = ["This is what those see who may not see it. Write the external id."]
        if spec["accountId"] == home_account():
            found["accountId"] = ["This is the account of this installation's own credentials: it needs no role."]
        for path, texts in found.items():
            for text in texts:
                self.faults.of(written, f"spec.{path}", text)
        for (kind, key), other in {**self.current, **self.found}.items():
            same = kind is Kind.ACCOUNT and other.spec["accountId"] == spec["accountId"]
            if same and key != name_key(written.name) and not (kind in self.pruned and not other.place):
                text = f"{spec['accountId']} is the account “{other.name}”."
                self.faults.of(written, "spec.accountId", text)
        if old and old.spec["accountId"] != spec["accountId"]:
            text = f"“{old.name}” is account {old.spec['accountId']}. Use another name for another account."
            self.faults.of(written, "spec.accountId", text)
        return {name: spec[name] for name in ("accountId", "roleArn", "externalId", "regions", "enabled")}

    def _account_of(self, written: Written) -> str:
        """The account of a group as all of them say it: our own is not named."""
        account: str = written.spec.get("accountId", "")
        if not account or account == home_account():
            return ""
        known = self.found if Kind.ACCOUNT in self.pruned else {**self.current, **self.found}
        if account not in {item.spec["accountId"] for item in known.values() if item.kind is Kind.ACCOUNT}:
            text = f"There is no account {account[:32]}, here or in this document. Add it, with its role."
            self.faults.of(written, "spec.accountId", text)
        return account

    # Groups

    def _group(self, written: Written) -> Spec:
        given = written.spec
        texts = {name: given[name] for name in ("description", "region") if name in given}
        account = self._account_of(written)
        spec = {**DEFAULTS[Kind.GROUP], **texts, "labels": self._labels(written), "accountId": account}
        self._check(written, lambda: groups.check_texts(written.name or "-", spec["description"], stored=written.name))
        self._check(written, lambda: check_region(spec["region"]))
        old = self.current.get((Kind.GROUP, name_key(written.name)))
        if old and old.spec["region"] != spec["region"]:
            text = f"A group stays in its region, {old.spec['region']}. Use another name for a group elsewhere."
            self.faults.of(written, "spec.region", text)
        if old and old.spec["accountId"] != account:
            text = f"A group stays in its AWS account, {old.spec['accountId'] or 'this installation’s own'}."
            self.faults.of(written, "spec.accountId", text)
        found = self._servers(written, "spec", given, name="sourceServerIds", region=spec["region"], account=account)
        spec["sourceServerIds"] = found
        spec["follow"], spec["match"] = given.get("follow", False), None
        if spec["follow"]:
            self._check_following(written)
            spec["match"] = dict(given.get("match", {}))
            kept = [each for each in old.spec["sourceServerIds"] if each in found] if old else []
            spec["sourceServerIds"] = once([*kept, *found])  # those that stay keep their order
        if not spec["sourceServerIds"]:
            self.faults.of(
                written, "spec.sourceServerIds", "No source server is named or matches: a group has one at least."
            )
        return spec

    def _check_following(self, written: Written) -> None:
        if "match" not in written.spec:
            self.faults.of(written, "spec.follow", "A group that follows needs a match: tags, a hostname, or both.")
        if "sourceServerIds" in written.spec:
            text = "A group that follows has what its match finds: leave sourceServerIds out."
            self.faults.of(written, "spec.sourceServerIds", text)

    def _labels(self, written: Written) -> dict[str, str]:
        labels = trimmed(written.spec.get("labels", ()))
        for fault in label_faults(labels):
            self.faults.of(written, "spec.labels", fault)
        return dict(labels)

    def _servers(
        self,
        written: Written,
        path: str,
        given: Mapping[str, Any],
        *,
        name: str,
        region: str = "",
        account: str = "",
        among: Collection[str] | None = None,
    ) -> list[str]:
        """Named and matching ones, in that order."""
        found: dict[str, None] = {}
        for place, text in enumerate(given.get(name, ())):
            pk, why = self.servers.meant(text, region=region, account=account, among=among)
            if why:
                self.faults.of(written, f"{path}.{name}[{place}]", why)
            elif pk in found:
                self.faults.of(written, f"{path}.{name}[{place}]", f"{text[:64]} is named more than once.")
            else:
                found[pk] = None
        matching = given.get("match")
        if matching is not None and not (matching.get("tags") or matching.get("hostname")):
            text = "Name tags, a hostname, or both. The hostname * matches every server."
            self.faults.of(written, f"{path}.match", text)
        elif matching is not None:
            found |= dict.fromkeys(self.servers.matching(matching, region=region, account=account, among=among))
        return list(found)

    def _check(self, written: Written, check: Any) -> None:
        try:
            check()
        except Invalid as error:
            for path, texts in error.fields.items():
                for text in texts:
                    self.faults.of(written, f"spec.{path}", text)

    # Plans

    def _plan(self, written: Written) -> Spec:
        given = {**DEFAULTS[Kind.PLAN], **{name: value for name, value in written.spec.items() if name != "waves"}}
        values = PLAN.cleaned(PLAN.given(given))
        for name, texts in PLAN.wrong(values).items():
            self.faults.of(written, f"spec.{name}", texts[0])
        given_waves = list(enumerate(written.spec["waves"]))
        homes = [self._groups_of(written, number, wave["protectionGroups"]) for number, wave in given_waves]
        servers = self._servers_of_waves(written, [each for _names, each in homes])
        waves = [self._wave(written, number, wave, homes[number][0], servers[number]) for number, wave in given_waves]
        if not waves:
            self.faults.of(written, "spec.waves", "At least one wave is required.")
        spec = {each.name: values[each.column] for each in PLAN if each.column in values}
        return {**spec, "labels": self._labels(written), "waves": waves}

    def _wave(
        self, written: Written, number: int, given: Mapping[str, Any], names: Sequence[str], servers: Sequence[str]
    ) -> Spec:
        path = f"spec.waves[{number}]"
        values = WAVE.cleaned(WAVE.given({"waveName": f"Wave {number + 1}", **OF_WAVE, **given}))
        for name, texts in WAVE.wrong(values, first=number == 0, stored=self._wave_names(written)).items():
            self.faults.of(written, f"{path}.{name}", texts[0])
        return {
            **{each.name: values[each.column] for each in WAVE},
            "protectionGroups": names,
            "serverIds": servers,
            "optionalServerIds": self._optional(written, path, given, servers),
            "dependsOnWaves": self._needs(written, path, number, given.get("dependsOnWaves", ())),
        }

    def _wave_names(self, written: Written) -> list[str]:
        old = self.current.get((Kind.PLAN, name_key(written.name)))
        return [each["waveName"] for each in old.spec["waves"]] if old else []

    def _groups_of(self, written: Written, wave: int, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The groups' names as they are written where they are defined, and the servers of all of them."""
        path, found, servers = f"spec.waves[{wave}]", [], []
        for place, name in enumerate(names):
            group = self.known(Kind.GROUP, name)
            if group is None:
                self.faults.of(written, f"{path}.protectionGroups[{place}]", f"There is no protection group “{name}”.")
            else:
                found.append(group.name)
                servers += group.spec["sourceServerIds"]
        if not names:
            self.faults.of(written, f"{path}.protectionGroups", "At least one protection group is required.")
        return once(found), servers

    def _servers_of_waves(self, written: Written, homes: Sequence[Sequence[str]]) -> list[list[str]]:
        """Of each wave. One that names none has all servers of its groups that no other wave names."""
        waves = list(enumerate(written.spec["waves"]))
        chosen = {
            number: self._servers(written, f"spec.waves[{number}]", wave, name="serverIds", among=set(homes[number]))
            for number, wave in waves
            if "serverIds" in wave or "match" in wave
        }
        named = {server for servers in chosen.values() for server in servers}
        found = [
            chosen[number] if number in chosen else [each for each in once(homes[number]) if each not in named]
            for number, _wave in waves
        ]
        self._check_servers(written, homes, found)
        return found

    def _check_servers(self, written: Written, homes: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> None:
        taken: dict[str, int] = {}
        for number, servers in enumerate(found):
            path, there = f"spec.waves[{number}].serverIds", set(homes[number])
            if there and not servers:
                self.faults.of(written, path, "No server of its groups is named or matches.")
            for each in servers:
                if each not in there:
                    self.faults.of(written, path, f"{each} is not in a protection group of this wave.")
                elif each in taken:
                    self.faults.of(written, path, f"{each} is already in wave {taken[each] + 1}.")
                taken.setdefault(each, number)

    def _optional(self, written: Written, path: str, given: Mapping[str, Any], servers: Sequence[str]) -> list[str]:
        there = set(servers)
        only = given_only(given, "optionalServerIds")
        optional = self._servers(written, path, only, name="optionalServerIds", among=there)
        for each in optional:
            if each not in there:
                text = f"{each} is not a server of this wave (serverIds)."
                self.faults.of(written, f"{path}.optionalServerIds", text)
        chosen = set(optional)
        return [each for each in servers if each in chosen]

    def _needs(self, written: Written, path: str, number: int, needed: Sequence[int]) -> list[int]:
        for each in needed:
            if not 0 <= each < number:
                text = f"Wave {each + 1} does not come before wave {number + 1}."
                self.faults.of(written, f"{path}.dependsOnWaves", text)
        return sorted(set(needed))

    # Subscriptions

    def _subscription(self, written: Written) -> Spec:
        old = self.current.get((Kind.SUBSCRIPTION, name_key(written.name)))
        spec = unmasked({**DEFAULTS[Kind.SUBSCRIPTION], **written.spec}, old)
        if spec["plan"] is not None:
            plan = self.known(Kind.PLAN, spec["plan"])
            if plan is None:
                self.faults.of(written, "spec.plan", f"There is no recovery plan “{spec['plan']}”.")
            else:
                spec["plan"] = plan.name
        some = None if spec["plan"] is None else uuid.UUID(int=0)
        wanted = subscriptions.Wanted(written.name, spec["channel"], spec["target"], some, spec["events"])
        for path, texts in subscriptions.problems(wanted, stored=written.name).items():
            for text in texts:
                self.faults.of(written, f"spec.{path}", text)
        spec["events"] = [str(each) for each in SUBSCRIBABLE if each in spec["events"]]
        return {name: spec[name] for name in ("channel", "target", "plan", "events", "enabled")}


def given_only(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """That field alone, without the wave's match."""
    return {name: given[name]} if name in given else {}


def left_over(current: Mapping[Key, Item], wanted: Mapping[Key, Item], pruned: Collection[Kind]) -> dict[Key, Item]:
    """Everything as it will be."""
    kept = {key: item for key, item in current.items() if key[0] not in pruned}
    return {**kept, **wanted}


def check_whole(after: Mapping[Key, Item], faults: Faults) -> None:
    """What no object breaks by itself: a server in two groups, a plan that stays but whose servers go."""
    homes: dict[str, str] = {}
    by_group: dict[str, list[str]] = {}
    entered = {"", *(item.spec["accountId"] for item in after.values() if item.kind is Kind.ACCOUNT)}
    for (kind, key), item in after.items():
        if kind is not Kind.GROUP:
            continue
        by_group[key] = item.spec["sourceServerIds"]
        if not item.place and item.spec["accountId"] not in entered:
            text = f"The group “{item.name}” is of account {item.spec['accountId']}, which would be deleted."
            faults.found.setdefault("document", []).append(text)
        for server in item.spec["sourceServerIds"]:
            if server in homes:
                text = f"{server} is in “{homes[server]}” and in “{item.name}”. A server can be in one group only."
                faults.found.setdefault(item.place or "document", []).append(text)
            homes.setdefault(server, item.name)
    for (kind, _key), item in after.items():
        if kind is Kind.PLAN and not item.place:
            _check_kept_plan(item, by_group, faults)
        plan = item.spec["plan"] if kind is Kind.SUBSCRIPTION and not item.place else None
        if plan is not None and (Kind.PLAN, name_key(plan)) not in after:
            text = f"The subscription “{item.name}” is about the plan “{plan}”, which would be deleted."
            faults.found.setdefault("document", []).append(text)


def _check_kept_plan(plan: Item, by_group: Mapping[str, list[str]], faults: Faults) -> None:
    """A plan that the document does not name, in which something would be missing."""
    for number, wave in enumerate(plan.spec["waves"]):
        there = {each for name in wave["protectionGroups"] for each in by_group.get(name_key(name), ())}
        gone = [name for name in wave["protectionGroups"] if name_key(name) not in by_group]
        lost = [each for each in wave["serverIds"] if each not in there]
        if gone:
            text = f"The plan “{plan.name}”, wave {number + 1}, uses the group “{gone[0]}”, which would be deleted."
            faults.found.setdefault("document", []).append(text)
        elif lost:
            text = f"The plan “{plan.name}”, wave {number + 1}, has {lost[0]}, which would leave its groups."
            faults.found.setdefault("document", []).append(text)
