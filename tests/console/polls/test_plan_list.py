"""A list of plans that lies open keeps up with their runs."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from executions.models import Pacemaker
from executions.states import ExecutionStatus
from tests.console import world
from tests.console.polls.test_rows import end, poll, sent
from tests.console.test_pages import HX, look, words

pytestmark = pytest.mark.both


def asked(html: str) -> str:
    found = re.search(r'hx-get="(/recovery-plans\?row=[^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def test_an_open_list_of_plans_says_when_a_run_begins_and_ends(console: Client) -> None:
    plan, other = world.plan("Payments"), world.plan("Orders")
    address = asked(look(console, "plans"))
    assert poll(console, address).status_code == 204
    run = world.start(plan)
    headers = {**HX, "HX-Current-URL": "http://testserver/recovery-plans?q=pay"}
    answer = console.get(address, headers=headers).content.decode()
    assert sent(answer) == {f"plan-row-{plan.pk}", "tabs"}
    assert "Running now" in words(answer)
    assert "All 1" in words(answer), "the tabs count what the list that lies open is filtered by"
    assert f'name="plan" value="{plan.pk}"' in answer, "it can still be chosen"
    address = asked(answer)
    assert str(other.pk) in address
    assert poll(console, address).status_code == 204
    end(run, ExecutionStatus.COMPLETED)
    answer = poll(console, address).content.decode()
    assert "Completed" in words(answer)
    assert "Start drill of Payments" in words(answer)
    assert "Running now" not in words(answer.partition("<template>")[0])


def test_it_says_when_no_engine_runs_any_more_and_bears_nonsense(console: Client) -> None:
    plan = world.plan("Payments")
    address = asked(look(console, "plans"))
    Pacemaker.objects.update(beat_at=timezone.now() - timedelta(hours=1))
    assert "No engine runs" in words(poll(console, address).content.decode())
    for nonsense in ("x", "x.1", f"{plan.pk}", "00000000-0000-0000-0000-000000000000.1"):
        assert poll(console, f"/recovery-plans?row={nonsense}").status_code in (200, 204)
