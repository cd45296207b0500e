"""What a subscription may point at, and how much of it everybody may see."""

import re
from typing import assert_never
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from notify.channels.address_guard import ForbiddenAddress, check_literal
from notify.states import Channel

TOPIC = re.compile(r"arn:aws(?:-[a-z-]+)?:sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
BUS = re.compile(
    r"(?:arn:aws(?:-[a-z-]+)?:events:(?P<region>[a-z0-9-]+):[0-9]{12}:event-bus/)?[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,255}"
)
TARGET_MAX = 1024


def problem_of(channel: str, target: str) -> str:
    """Why a target cannot be used, in a sentence for the person who typed it; empty if it can."""
    if not target:
        return "Say where to send it."
    if len(target) > TARGET_MAX:
        return f"At most {TARGET_MAX} characters; this has {len(target)}."
    through = Channel(channel)
    match through:
        case Channel.SNS:
            ok = TOPIC.fullmatch(target)
            return (
                "" if ok else "A topic's ARN is expected, such as arn:aws:sns:us-east-1:123456789012:drsorch-on-call."
            )
        case Channel.EMAIL:
            return _problem_of_address(target)
        case Channel.WEBHOOK:
            return _problem_of_url(target)
        case Channel.EVENTBRIDGE:
            return _problem_of_bus(target)
        case _:
            assert_never(through)


def _problem_of_bus(target: str) -> str:
    if BUS.fullmatch(target) and not target.startswith("aws."):  # AWS's partners' own
        return ""
    arn = "arn:aws:events:us-east-1:123456789012:event-bus/drsorch-ops"
    return f"The name of an event bus is expected, or its ARN, such as {arn}."


def _problem_of_address(target: str) -> str:
    if not settings.MAIL:
        return "This installation sends no e-mail: DRSORCH_MAIL is not set."
    try:
        validate_email(target)
    except ValidationError:
        return "One e-mail address is expected, such as oncall@example.com."
    return ""


def _problem_of_url(target: str) -> str:
    schemes = ("https", "http") if settings.WEBHOOK_PLAIN else ("https",)
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "An https address is expected, such as https://hooks.example.com/recovery."
    if parts.scheme not in schemes or not host or not re.fullmatch(r"[!-~]+", target):
        return "An https address is expected, such as https://hooks.example.com/recovery."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "An address without a password and without a # is expected; the signature says who sends."
    try:
        check_literal(host)
    except ForbiddenAddress as error:
        return str(error)
    return ""


def region_of_bus(target: str) -> str:
    """The region of a bus; one that is named without its ARN is in our own."""
    found = BUS.fullmatch(target)
    return (found["region"] if found else None) or str(settings.AWS_REGION)


def region_of(arn: str) -> str:
    """The region of a topic."""
    found = TOPIC.fullmatch(arn)
    if found is None:
        raise ValueError(f"not a topic: {arn}")
    return found["region"]


def shown(channel: str, target: str) -> str:
    """The target without what only administrators may see: the path of a webhook often is its password."""
    through = Channel(channel)
    match through:
        case Channel.WEBHOOK:
            parts = urlsplit(target)
            return f"{parts.scheme}://{parts.netloc}/…"[:300]
        case Channel.SNS | Channel.EMAIL | Channel.EVENTBRIDGE:
            return target[:300]
        case _:
            assert_never(through)
