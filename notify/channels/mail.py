"""E-mail through Django's mail backend: SMTP, or SES by its API (`notify.channels.ses`)."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from notify.channels.message import Parcel, Undelivered


def send(parcel: Parcel) -> None:
    """Hand it to the mail server. Raises Undelivered."""
    if not settings.MAIL:
        raise Undelivered("This installation sends no e-mail: DRSORCH_MAIL is not set.")
    host = settings.PUBLIC.host.strip("[]")
    headers = {
        "Message-ID": f"<{parcel.delivery_id}@{host}>",  # the same each time, so that repetitions can be told
        "Auto-Submitted": "auto-generated",
    }
    if parcel.execution_id:
        headers["References"] = f"<run-{parcel.execution_id}@{host}>"  # mail programs keep a run together
    message = EmailMessage(
        subject=parcel.subject,
        body=parcel.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[parcel.target],
        headers=headers,
        connection=get_connection(),
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: a header that cannot be
        raise Undelivered(f"{type(error).__name__}: {error}"[:500]) from error
