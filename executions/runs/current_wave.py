"""A run's waves, and which of them it is at: the one answer of page, API, engine and commands, whatever shape
they hold its waves in."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar

from contract.storage.prepared import Asked, Prepared
from executions.models import Execution, WaveRun
from executions.states import WaveStatus

WAVES_OF_RUN = Prepared(lambda: WaveRun.objects.filter(execution=Asked(Execution, "id")).order_by("number"))


class HasState(Protocol):
    """A wave of a run, as a row or as a view of one."""

    @property
    def state(self) -> WaveStatus: ...


class HasStart(HasState, Protocol):
    """One that also tells when it was begun."""

    @property
    def started_at(self) -> datetime | None: ...


W = TypeVar("W", bound=HasState)
S = TypeVar("S", bound=HasStart)


def current_wave(waves: Iterable[W]) -> W | None:
    """Of waves in their order: the one in progress or next to run; None when all are over."""
    return next((wave for wave in waves if not wave.state.is_final), None)


def shown_wave(waves: Iterable[S]) -> S | None:
    """The same for readers, who at the end are told the last that ran; None when none did."""
    given = list(waves)
    ran = [wave for wave in given if wave.started_at is not None]
    return current_wave(given) or (ran[-1] if ran else None)


class HasQuestion(HasState, Protocol):
    """A wave as a row, which tells whether a person was asked after its failure, and answered."""

    @property
    def asked_at(self) -> datetime | None: ...

    @property
    def answered_at(self) -> datetime | None: ...


Q = TypeVar("Q", bound=HasQuestion)


def failed_waiting_wave(waves: Iterable[Q]) -> Q | None:
    """The failed one after which the run waits for a person."""
    return next((wave for wave in waves if wave.asked_at is not None and wave.answered_at is None), None)


def waiting_wave(waves: Iterable[W]) -> W | None:
    """The one before which the run waits for a person."""
    return next((wave for wave in waves if wave.state is WaveStatus.PAUSED), None)
