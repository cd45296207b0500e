"""Django's mail backend for Amazon SES by its API, so that a role is enough and no SMTP password is needed."""

import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

_ONCE = Config(connect_timeout=3, read_timeout=7, retries={"total_max_attempts": 1, "mode": "standard"})
_building = threading.Lock()


@cache
def _build(region: str, pid: int) -> Any:
    return boto3.session.Session().client("sesv2", region_name=region, config=_ONCE)


def _client() -> Any:
    with _building:  # neither sessions nor the cache's first fill are thread-safe
        return _build(settings.AWS_REGION, os.getpid())


class SesBackend(BaseEmailBackend):
    """Sends each message as it is, by SendEmail in AWS_REGION. Failures are OSErrors, as those of SMTP are."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            try:
                _client().send_email(
                    FromEmailAddress=message.from_email,
                    Destination={"ToAddresses": message.recipients()},
                    Content={"Raw": {"Data": message.message().as_bytes()}},
                )
            except (ClientError, BotoCoreError) as error:
                raise OSError(str(error)) from error
        return len(email_messages)
