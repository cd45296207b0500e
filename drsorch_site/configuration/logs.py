"""How log lines are written: one record a line, whatever text from outside is in it, and no secrets."""

import logging
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from contract import log_context
from contract.names import visible

HIDDEN = "[hidden]"
SHORTEST_SECRET = 8
LONGEST_REFUSAL = 500  # characters; a header that is no host name may have thousands

# What is written before a secret (kept) and the secret (hidden), in headers, query strings and reprs. Paths and names
# in a line are strangers': each pattern takes a time linear in its length, so none begins with a repetition, and a word
# that is looked through is looked through once.
_NAMED = re.compile(
    r"""(?ix)
    ( \b(?:authorization|proxy-authorization|cookie|set-cookie)\b ['"]?\s*[:=]\s*['"]? ) [^'"\r\n]+
    | ( \b(?:bearer|basic)\s+ ) [a-z0-9._~+/=:-]{8,}
    | ( (?:password|passwd|secret|secret_key|secret_access_key|api_key|token|csrf\w{0,40}|session(?:id)?)
        ['"]?\s*[:=]\s*['"]? ) [^\s'"&,;)}\]]{4,}
    | ( \bdrsorch_(?=[\w-]{43}) ) [\w-]{43}
    | ( [?&](?:code|state|id_token|access_token|refresh_token)= ) [^\s&'"]+
    """
)
_DOTTED = re.compile(r"(?<![\w-])([\w-]++)\.[\w-]++\.[\w-]*+")
_JWT = re.compile(r"\beyJ[\w-]")


def _without_jwt(dotted: re.Match[str]) -> str:
    """Three words between dots, of which the first is the header of a token."""
    token = _JWT.search(dotted[1])
    return dotted[0] if token is None else dotted[1][: token.start()] + HIDDEN


class Scrubber:
    """Hides secrets by the name before them, by their form, and the installation's own by what they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len, reverse=True)
        self.known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        if self.known is not None:
            text = self.known.sub(HIDDEN, text)
        text = _DOTTED.sub(_without_jwt, text)
        return _NAMED.sub(lambda found: next(each for each in found.groups() if each is not None) + HIDDEN, text)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {name: self.value(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, int | float | date):
            return value
        return self.text(str(value))  # such as Django's request, which shows its whole address


class BriefRefusals(logging.Filter):
    """A request that we refuse is a warning of one line: whoever sends rubbish fills no log with tracebacks and wakes
    nobody. Of the two lines that Django has for some, the first stays: it says why."""

    def filter(self, record: logging.LogRecord) -> bool:
        status, request = getattr(record, "status_code", 500), getattr(record, "request", None)
        if request is None or status >= 500 or not record.name.startswith(("django.request", "django.security")):
            return True
        if getattr(request, "refusal", record) is not record:
            return False
        request.refusal = record
        record.msg, record.args = record.getMessage()[:LONGEST_REFUSAL], ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


class ConsoleLines(logging.Formatter):
    """Lines for people. A traceback is indented, so that none of its lines can pass for a record."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("{asctime} {levelname:7} {name}: {message}", style="{")
        self.scrubber = Scrubber(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging calls it)
        record.message = visible(self.scrubber.text(record.message))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).split("\n")
        return "\n".join([first, *(f"    {visible(self.scrubber.text(line))}" for line in rest)])


class JsonLines(JsonFormatter):
    """One JSON object a line, with the ids of what it is about; JSON spells control characters out. Times are UTC."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="at",
        )
        self.scrubber = Scrubber(secrets)

    def process_log_record(self, log_record: dict[str, Any]) -> dict[str, Any]:
        told = {**dict(super().process_log_record(log_record)), **log_context.current()}
        told |= told.pop(
            "figures", {}
        )  # CloudWatch looks for `_aws` at the top, where the library allows no underscore
        scrubbed: dict[str, Any] = self.scrubber.value(told)
        return scrubbed
