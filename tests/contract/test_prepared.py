"""A question that is written once finds what one finds that is written anew, whatever has changed in between."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import Count
from django.utils import timezone

from bench.compare import live_run
from contract.storage.prepared import MOST_AMONG, Asked, Prepared, PreparedAmong, PreparedUpdate, attach
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import WaveStatus
from identity.models import ScopedRole, people

pytestmark = pytest.mark.django_db


def test_models_come_with_all_that_was_asked_for_and_no_more() -> None:
    prepared = Prepared(lambda: people().filter(pk=Asked(User, "id")).defer("email"))
    ann, bob = User.objects.create_user("ann"), User.objects.create_user("bob")
    assert [(each.username, each.is_scoped) for each in prepared.objects(id=ann.pk)] == [("ann", False)]  # type: ignore[attr-defined]
    group = Group.objects.create(name="Team")
    bob.groups.add(group)
    ScopedRole.objects.create(group=group, role="viewer", account_id="111122223333", made_at=timezone.now())
    (found,) = prepared.objects(id=bob.pk)
    assert (found.username, found.is_scoped, found.date_joined) == ("bob", True, bob.date_joined)  # type: ignore[attr-defined]
    assert found.get_deferred_fields() == {"email"}
    found.first_name = "Robert"
    found.save()
    assert prepared.objects(id=bob.pk)[0].first_name == "Robert"
    bob.delete()
    assert prepared.objects(id=bob.pk or 0) == []


def test_rows_have_the_values_that_python_has() -> None:
    run, other = live_run(2, 3), uuid.uuid4()
    columns = ("pk", "execution_id", "started_at", "gate", "depends_on", "pause_before", "size")

    def question(of: Any) -> Any:
        found = WaveRun.objects.filter(execution=of).order_by("-number")
        return found.annotate(size=Count("servers")).values_list(*columns)

    prepared = Prepared(lambda: question(Asked(Execution, "id")))
    assert prepared.rows(id=other) == []
    for change in ({}, {"gate": {"approvals": 2}}, {"started_at": None}, {"depends_on": [0]}, {"pause_before": True}):
        WaveRun.objects.filter(execution=run, number=1).update(**change)
        assert prepared.rows(id=run.pk) == list(question(run))
    ServerRun.objects.filter(wave__execution=run, wave__number=0, position=0).delete()
    assert prepared.rows(id=run.pk) == list(question(run))
    given, read = prepared.unread(id=run.pk)
    assert list(map(read, given)) == list(question(run))
    assert prepared.row(id=run.pk) == question(run).first()


def test_a_list_of_any_length_finds_what_is_in_it_once_and_what_is_joined_comes_with_it(
    django_assert_num_queries: Any,
) -> None:
    run = live_run(1, 7)
    servers = list(ServerRun.objects.filter(wave__execution=run).order_by("position"))
    prepared = PreparedAmong(
        ServerRun,
        "id",
        lambda ids: (
            ServerRun.objects.filter(pk__in=ids)
            .select_related("wave__execution__plan", "job")
            .defer("wave__execution__plan_copy")
            .order_by("-position")
        ),
    )
    with django_assert_num_queries(0):
        assert prepared.objects([]) == []
    for some in (servers[:1], servers[2:5], servers, servers[::-1]):
        with django_assert_num_queries(1):
            found = prepared.objects(each.pk for each in some)
        jobs = set(run.waves.get().jobs.all())
        with django_assert_num_queries(0):
            assert found == sorted(some, key=lambda each: -each.position)
            assert {each.wave.execution for each in found} == {run}
            assert {each.job for each in found} == jobs
            assert {each.wave.execution.plan for each in found} == {None}
            assert found[0].wave.execution.get_deferred_fields() == {"plan_copy"}
    absent = range(10**6, 10**6 + MOST_AMONG)
    with django_assert_num_queries(2):
        assert prepared.objects([servers[0].pk, *absent, servers[1].pk]) == servers[:2]


def test_what_is_attached_is_not_asked_for_again_and_narrowed_it_is_asked_for_its_own(
    django_assert_num_queries: Any,
) -> None:
    ended = {"status": "COMPLETED", "ended_at": timezone.now()}
    run, other = live_run(2, 1), Execution.objects.create(plan_name="Other", kind="DRILL", total_waves=0, **ended)
    WaveRun.objects.create(execution=other, number=0, name="Other's")
    waves = list(WaveRun.objects.filter(execution=run))
    attach(run, "waves", waves)
    attach(waves[0], "jobs", LaunchJob.objects.filter(wave=waves[0]))
    with django_assert_num_queries(0):
        assert list(run.waves.all()) == waves
        assert waves[0].execution is run
        assert [job.wave for job in waves[0].jobs.all()] == [waves[0]]
    assert {each.execution_id for each in run.waves.filter(status=WaveStatus.LAUNCHING)} == {run.pk}
    assert run.waves.exclude(name="").count() == 2


def test_a_change_that_is_written_once_is_made_to_the_rows_that_are_meant_with_the_values_that_are_given() -> None:
    ann, bob = User.objects.create_user("ann", email="a"), User.objects.create_user("bob", email="b")
    found = User.objects.filter(pk=Asked(User, "id")).exclude(email=Asked(User, "email", "known"))
    rename = PreparedUpdate(lambda: found, "email", "last_login")
    now = timezone.now()
    assert rename.run(id=ann.pk, known="other", email="new", last_login=now) == 1
    assert rename.run(id=bob.pk, known="b", email="new", last_login=now) == 0
    assert rename.run(id=bob.pk, known="other", email="", last_login=None) == 1
    assert list(User.objects.order_by("pk").values_list("email", "last_login")) == [("new", now), ("", None)]
