"""Whether there is room for a launch: quotas of DRS, free addresses of subnets, vCPUs. What could not be asked is said.

Servers that have a recovery instance need none: a launch ends that one first. Conversion servers, two vCPUs for each
server for some minutes, come on top and are not counted: DRS makes them where, and when, it likes.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from contract.plurals import counted
from drs.client import SERVERS_PER_JOB
from executions.codes.readiness import Against
from executions.readiness.plan_changes import names
from executions.readiness.terms import PlanFacts, Reason, RegionFacts, ServerFacts
from executions.states import Verdict
from protection.inventory import aws_links
from protection.inventory.capacity import JOBS, NAMES, SERVERS_IN_JOBS, STANDARD, Capacity, quota_of
from protection.inventory.launch_settings import type_of

WARNING = Verdict.READY_WITH_WARNINGS


def room_reasons(facts: PlanFacts) -> Iterator[Reason]:
    """What each region of a plan has no room for, or does not tell."""
    for region in facts.regions.values():
        yield from _quota_reasons(facts, region)
        here = [server for server in facts.servers if server.place == region.place]
        new = [each for each in here if each.settings is not None and not each.has_instance and not each.gone]
        new = [each for each in new if not (each.settings or {}).get("existingInstanceId")]
        if region.capacity is not None:
            yield from _subnet_reasons(region.capacity, new)
            yield from _vcpu_reasons(region, region.capacity, new)
        yield from _unread(region, here)


def _quota_reasons(facts: PlanFacts, region: RegionFacts) -> Iterator[Reason]:
    """What the quotas of DRS mean for the plan's biggest wave there."""
    if region.jobs_as_of is None:
        return
    room = region.capacity or Capacity()
    at_once, in_jobs = room.quota(JOBS), room.quota(SERVERS_IN_JOBS)
    sizes = [sum(server.place == region.place for server in wave.servers) for wave in facts.waves]
    most = max(sizes, default=0)
    jobs, servers = len(region.running), sum(len(each) for each in region.running.values())
    others = f", {len(region.foreign)} of them not ours" if region.foreign else ""
    now_running = f"{counted(jobs, 'DRS job')} with {servers} servers in {region.shown}{others}"
    if jobs + math.ceil(most / SERVERS_PER_JOB) > at_once:
        text = f"{now_running}: DRS takes {at_once:.0f} jobs at once ({_from(room, JOBS)}), so launches wait."
        yield Reason(Against.QUOTA_JOBS, WARNING, text, quota_page=_page(Against.QUOTA_JOBS, region, JOBS))
    if servers + most > in_jobs:
        limit = f"{in_jobs:.0f} ({_from(room, SERVERS_IN_JOBS)})"
        text = f"{now_running}: with a wave of {most} it is more than {limit}, so launches wait."
        page = _page(Against.QUOTA_SERVERS, region, SERVERS_IN_JOBS)
        yield Reason(Against.QUOTA_SERVERS, WARNING, text, quota_page=page)


def _page(code: Against, region: RegionFacts, quota: str) -> str:
    """Where AWS shows the quota, and takes the request for a higher one."""
    return aws_links.quotas(region.place[1], code.explanation.quota, quota)


def _from(room: Capacity, code: str) -> str:
    return "the account's quota" if code in room.quotas else "the published quota"


def _subnet_reasons(room: Capacity, servers: Sequence[ServerFacts]) -> Iterator[Reason]:
    if room.subnets_error:
        return
    wanted: Mapping[str, list[ServerFacts]] = defaultdict(list)
    for server in servers:
        for subnet in (server.settings or {}).get("subnetIds", ()):
            wanted[subnet].append(server)
    for subnet, into in sorted(wanted.items()):
        ids = [each.id for each in into]
        if subnet in room.subnets and len(into) > (free := room.subnets[subnet]):
            needed = f"{counted(len(into), 'server')} of the plan would be launched into it"
            has = f"{subnet} has {counted(free, 'free address').replace('addresss', 'addresses')}"
            yield Reason(Against.SUBNET_FULL, Verdict.NOT_READY, f"{has}, and {needed}: {names(into)}.", ids)
        elif subnet not in room.subnets and subnet in room.asked_subnets:
            text = f"{subnet} does not exist; launch templates name it: {names(into)}."
            yield Reason(Against.SUBNET_GONE, Verdict.NOT_READY, text, ids)


def _vcpu_reasons(region: RegionFacts, room: Capacity, servers: Sequence[ServerFacts]) -> Iterator[Reason]:
    if room.vcpus_error:
        return
    needs, who = defaultdict[str, int](int), defaultdict[str, list[ServerFacts]](list)
    for server in servers:
        code, vcpus = _vcpus_of(server, room)
        needs[code] += vcpus
        who[code].append(server)
    for code, need in sorted(needs.items()):
        quota, used = room.vcpu_quotas.get(code), room.running.get(code, 0)
        if quota is not None and used + need > quota:
            text = (
                f"{used} of the {quota:.0f} vCPUs that running On-Demand {NAMES[code]} instances may have in"
                f" {region.shown} are in use, and the plan would launch about {need} more: {names(who[code])}."
            )
            ids, page = [each.id for each in who[code]], _page(Against.VCPUS_EXHAUSTED, region, code)
            yield Reason(Against.VCPUS_EXHAUSTED, Verdict.NOT_READY, text, ids, page)


def _vcpus_of(server: ServerFacts, room: Capacity) -> tuple[str, int]:
    """The quota that counts its instance, and how many vCPUs; of a type that nobody knows yet, those of its source."""
    named = type_of(server.settings or {}, server.recommended_type)
    if named in room.vcpus:
        return quota_of(named), room.vcpus[named]
    return (quota_of(named) or STANDARD), server.cores


def _unread(region: RegionFacts, servers: Sequence[ServerFacts]) -> Iterator[Reason]:
    """What could not be checked, and why: never silently nothing."""
    ids = [each.id for each in servers]
    if region.templates_error:
        text = (
            f"EC2 does not tell launch templates in {region.shown}, so nobody notices whether instance types, subnets,"
            f" security groups or tags were changed since the last drill: {region.templates_error}"
        )
        yield Reason(Against.TEMPLATES_UNKNOWN, WARNING, text, ids)
    room = region.capacity
    if room is None:
        return
    unread = [
        *([f"quotas, so the published ones are taken ({room.quotas_error})"] if room.quotas_error else []),
        *([f"free addresses of subnets ({room.subnets_error})"] if room.subnets_error else []),
        *([f"room for vCPUs ({room.vcpus_error})"] if room.vcpus_error else []),
    ]
    if not room.vcpus_error and (untold := _untold_quotas(room, servers)):
        unread.append(f"room for vCPUs of {', '.join(untold)} instances (Service Quotas does not tell it)")
    if unread:
        text = f"Not checked in {region.shown}: {'; '.join(unread)}."
        yield Reason(Against.ROOM_UNKNOWN, WARNING, text, ids)


def _untold_quotas(room: Capacity, servers: Sequence[ServerFacts]) -> list[str]:
    types = {type_of(each.settings or {}, each.recommended_type) for each in servers}
    codes = {code for each in types if (code := quota_of(each)) and each in room.vcpus}
    return sorted(NAMES[code] for code in codes - room.vcpu_quotas.keys())
