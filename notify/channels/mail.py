"""E-mail through Django's mail backend: SMTP, or SES by its API (`notify.channels.ses`)."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from notify.channels.message import DeliveryFailed, OutgoingMessage


def send(message: OutgoingMessage) -> None:
    """Hand it to the mail server. Raises DeliveryFailed."""
    if not settings.MAIL:
        raise DeliveryFailed("This installation sends no e-mail: DRSORCH_MAIL is not set.")
    host = settings.PUBLIC.host.strip("[]")
    headers = {
        "Message-ID": f"<{message.delivery_id}@{host}>",  # the same each time, so that repetitions can be told
        "Auto-Submitted": "auto-generated",
    }
    if message.execution_id:
        headers["References"] = f"<run-{message.execution_id}@{host}>"  # mail programs keep a run together
    email = EmailMessage(
        subject=message.subject,
        body=message.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.target],
        headers=headers,
        connection=get_connection(),
    )
    try:
        email.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: a header that cannot be
        raise DeliveryFailed(f"{type(error).__name__}: {error}"[:500]) from error
