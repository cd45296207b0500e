"""A process frozen between intent and request wakes up when another has long launched: its request comes to nothing."""

import os
import signal
import time
from typing import Any

import pytest
from django.test import override_settings

from drs import client
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Trouble
from executions.models import LaunchJob
from tests.support.processes import child_at, eventually, free_leases
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]


def test_it_refuses_to_sign_after_the_window(stage: Stage) -> None:
    """Frozen before signing: the hook sees that the intent is old, by the clocks of its own host."""
    run = stage.start(stage.plan("app-01"))
    with child_at("before signing", "SIGSTOP", DRSORCH_SEND_WINDOW_SECONDS="0.5") as child:
        eventually(lambda: LaunchJob.objects.get().intent_at is not None, what="the intent")
        free_leases()
        with override_settings(LAUNCH_QUARANTINE_SECONDS=60):
            stage.advance(61)
            stage.look()
        (job,) = LaunchJob.objects.all()
        assert (job.attempt, len(stage.launches())) == (2, 1)
        time.sleep(0.6)  # more than the send window, on the clocks of the frozen process's host
        os.kill(child.pid, signal.SIGCONT)
        assert child.stdout
        assert child.stdout.readline() == "awake\n"
        time.sleep(1)  # it refuses at once, and then only sweeps
        stage.until(run, "COMPLETED")
        assert child.poll() is None
    assert len(stage.simulator.journal("StartRecovery")) == 1
    assert LaunchJob.objects.get().job_id == job.job_id


def test_aws_refuses_a_request_signed_before_the_freeze(stage: Stage) -> None:
    """Frozen between signing and sending: no hook can help, but AWS takes no old signature."""
    stage.simulator.settings(signature_max_age_seconds=2)
    run = stage.start(stage.plan("app-01"))
    with child_at("before sending", "SIGSTOP") as child:
        free_leases()
        time.sleep(3.5)
        with override_settings(LAUNCH_QUARANTINE_SECONDS=3):
            stage.look()
        assert len(stage.launches()) == 1
        os.kill(child.pid, signal.SIGCONT)
        eventually(lambda: len(stage.simulator.journal("StartRecovery")) == 2, what="the old request")
        stage.until(run, "COMPLETED")
    ours, old = stage.simulator.journal("StartRecovery")
    assert ours["job_id"]
    assert (old["error"], old["job_id"]) == ("InvalidSignatureException", "")
    assert LaunchJob.objects.get().job_id == ours["job_id"]


def test_a_launch_past_its_window_was_certainly_not_sent(stage: Stage) -> None:
    (server,) = stage.ids("app-01")
    for window in (SendWindow(1, wall=0), SendWindow(1, monotonic=-10)):
        with pytest.raises(DrsError) as refused:
            Drs("us-east-1").start_recovery([server], is_drill=True, tags={}, window=window)
        assert refused.value.trouble is Trouble.NOT_SENT
    assert stage.simulator.journal("StartRecovery") == []


def test_slow_credentials_do_not_lengthen_the_window(stage: Stage) -> None:
    """botocore fetches credentials after the hook that watches the signing, and signs with the time of then."""
    (server,) = stage.ids("app-01")
    launcher = client._boto("us-east-1", "", "launcher")
    credentials = launcher._request_signer._credentials  # type: ignore[attr-defined]

    class Refreshing:
        def __getattr__(self, name: str) -> Any:
            return getattr(credentials, name)

        def get_frozen_credentials(self) -> Any:
            time.sleep(1)
            return credentials.get_frozen_credentials()

    launcher._request_signer._credentials = Refreshing()  # type: ignore[attr-defined]
    try:
        with pytest.raises(DrsError) as refused:
            Drs("us-east-1").start_recovery([server], is_drill=True, tags={}, window=SendWindow(0.5))
    finally:
        client._build.cache_clear()
    assert refused.value.trouble is Trouble.NOT_SENT
    assert stage.simulator.journal("StartRecovery") == []
