"""What can be told, by which channel, and what becomes of a delivery. Declared once; no Django models."""

from typing import assert_never

from django.db.models import TextChoices

from contract.status import Status, Tone


class Event(TextChoices):
    """What happens to a run. JOURNAL tells once a day where the journal ends; STREAM is each event that
    `GET /events` has. BREAK_GLASS is told to every
    subscription; TEST is what an administrator sends to try one. Nobody subscribes to these two."""

    STARTED = "STARTED", "started"
    PAUSED = "PAUSED", "paused"
    RESUMED = "RESUMED", "resumed"
    FINISHED = "FINISHED", "finished"
    FAILED = "FAILED", "failed"
    TIMED_OUT = "TIMED_OUT", "timed out"
    LATE = "LATE", "instances came up late"
    LEASE = "LEASE", "a drill’s instances outlive their lease"
    SCHEDULE = "SCHEDULE", "drills by schedule: a day ahead, and when one could not start"
    BREAK_GLASS = "BREAK_GLASS", "a gate was passed without its approvals"
    JOURNAL = "JOURNAL", "journal head, once a day"
    STREAM = "STREAM", "for programs: every event of the stream"
    TEST = "TEST", "test"


def label_of(event: str) -> str:
    """An event in words; one of a newer version, which may run beside this one during an upgrade, by its name."""
    return Event(event).label if event in Event else event.lower().replace("_", " ")


SUBSCRIBABLE = [each for each in Event if each not in (Event.TEST, Event.BREAK_GLASS)]
OF_RUNS = [each for each in SUBSCRIBABLE if each not in (Event.JOURNAL, Event.STREAM)]


class Channel(TextChoices):
    """How a notification travels."""

    SNS = "SNS", "SNS topic"
    EMAIL = "EMAIL", "E-mail"
    WEBHOOK = "WEBHOOK", "Webhook"
    EVENTBRIDGE = "EVENTBRIDGE", "EventBridge bus"

    @property
    def is_signed(self) -> bool:
        """Whether its messages are signed with a secret of the subscription's own."""
        match self:
            case Channel.WEBHOOK:
                return True
            case Channel.SNS | Channel.EMAIL | Channel.EVENTBRIDGE:
                return False
            case _:
                assert_never(self)


class DeliveryStatus(Status):
    """Where one delivery is. GIVEN_UP after a day without success; WITHDRAWN with its subscription."""

    PENDING = "PENDING", "Not delivered yet", Tone.PROGRESS
    DELIVERED = "DELIVERED", "Delivered", Tone.SUCCESS
    GIVEN_UP = "GIVEN_UP", "Given up", Tone.DANGER
    WITHDRAWN = "WITHDRAWN", "Withdrawn", Tone.NEUTRAL
