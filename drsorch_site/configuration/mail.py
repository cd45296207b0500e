"""How e-mail leaves: DRSORCH_MAIL as Django's mail settings."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from drsorch_site.configuration.public_url import LOOPBACK
from identity.provider.cognito import WrongSetting

FORM = "use ses, smtps://USER:PASSWORD@HOST, smtp+starttls://USER:PASSWORD@HOST:587, or smtp://127.0.0.1:25"
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True)
class Mail:
    """Django's settings, and the password, which no log may show."""

    settings: dict[str, Any]
    password: str = ""


def read_mail(text: str) -> Mail | None:
    """What DRSORCH_MAIL says; None for an installation that sends no e-mail. Raises WrongSetting."""
    if not text:
        return None
    if text == "ses":
        return Mail({"EMAIL_BACKEND": "notify.channels.ses.SesBackend"})
    try:
        parts = urlsplit(text)
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise WrongSetting("DRSORCH_MAIL", f"invalid: {FORM}") from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise WrongSetting("DRSORCH_MAIL", f"invalid: {FORM}")
    password = unquote(parts.password or "")
    if parts.scheme == "smtp" and password and parts.hostname not in LOOPBACK:
        raise WrongSetting(
            "DRSORCH_MAIL", "invalid: smtp:// would send the password in the clear; use smtp+starttls://"
        )
    return Mail(
        {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": port,
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": password,
            "EMAIL_USE_TLS": parts.scheme == "smtp+starttls",
            "EMAIL_USE_SSL": parts.scheme == "smtps",
        },
        password,
    )
