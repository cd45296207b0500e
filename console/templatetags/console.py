"""Template tags and filters of the console; loaded into every template."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, assert_never

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from heroicons.templatetags.heroicons import heroicon_outline

from console.pages import ROWS_A_PAGE
from contract.clock import span, stamp, unix, utc
from contract.naming import confirmation
from contract.status import Status, Tone

register = template.Library()

OWN_ICON = "spinner"  # heroicons has no plain one


def icon_of(tone: Tone) -> str:
    """The name of the icon that stands for a tone."""
    match tone:
        case Tone.NEUTRAL:
            return "minus-circle"
        case Tone.PROGRESS:
            return OWN_ICON
        case Tone.ATTENTION:
            return "pause-circle"
        case Tone.SUCCESS:
            return "check-circle"
        case Tone.PARTIAL:
            return "exclamation-circle"
        case Tone.DANGER:
            return "x-circle"
        case _:
            assert_never(tone)


# Where the tone's own icon would say something else than the word.
ICONS_BY_VALUE = {"PENDING": "clock", "QUEUED": "clock", "CANCELLED": "no-symbol", "LAGGING": "exclamation-triangle"}
SPINNER = mark_safe(
    '<svg class="spin" aria-hidden="true" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.5"'
    ' stroke-linecap="round"><path d="M20.5 15A9 9 0 1 1 15 3.5"/></svg>'
)


_NAMED = re.compile(r"""{% icon(?:_again)? ["']([a-z-]+)["'] %}""")


@lru_cache(maxsize=64)
def _outline(name: str) -> SafeString:
    return mark_safe(  # noqa: S308  (an icon of the package)
        heroicon_outline(name, size=None, aria_hidden="true", stroke_width="2")
    )


def draw_icons(page: str, names: Iterable[str] = ()) -> None:
    """Draw the icons that a template names, and these: each is looked for in the package’s archive, which takes some
    milliseconds."""
    for name in (*_NAMED.findall(page), *names):
        icon(name)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon beside a word; it says nothing to a screen reader. `tone:x` is the icon of a tone."""
    return SPINNER if name == OWN_ICON else _outline(name)


@register.simple_tag
def tone_icon(tone: Tone) -> SafeString:
    """The icon that stands for a tone."""
    return _from_sprite(icon_of(tone))


@lru_cache(maxsize=64)
def _from_sprite(name: str) -> SafeString:
    """An icon of a status, by reference: it is drawn once a page, and polls send no drawing."""
    spins = mark_safe(' class="spin"') if name == OWN_ICON else ""
    return format_html('<svg aria-hidden="true"{}><use href="#i-{}"/></svg>', spins, name)


def status_icons() -> list[str]:
    """The package's icons that stand for a status."""
    return sorted({*(icon_of(each) for each in Tone), *ICONS_BY_VALUE.values()} - {OWN_ICON})


@register.simple_tag
@lru_cache(maxsize=1)
def sprite() -> SafeString:
    """The icons of all statuses, drawn once a page: a run of 1,000 servers refers to them 2,000 times."""
    return drawn_once(*status_icons(), OWN_ICON)


@register.simple_tag
def drawn_once(*names: str) -> SafeString:
    """Icons that a page has many times, for `icon_again`."""
    drawn = [(f"i-{name}", icon(name)) for name in names]
    symbols = [svg.replace("<svg", f'<symbol id="{key}"').replace("</svg>", "</symbol>") for key, svg in drawn]
    return mark_safe(f"<svg hidden>{''.join(symbols)}</svg>")  # noqa: S308  (icons of the package)


@register.simple_tag
def icon_again(name: str) -> SafeString:
    """An icon of those that the page has drawn once."""
    return format_html('<svg aria-hidden="true"><use href="#i-{}"/></svg>', name)


@lru_cache(maxsize=256)
def _status(kind: type[Status], value: str, pill: bool) -> SafeString:
    each = kind.of(value)
    picture = _from_sprite(ICONS_BY_VALUE.get(value) or icon_of(each.tone))
    shape = mark_safe(" data-pill") if pill else ""
    return format_html('<span class="status" data-tone="{}"{}>{}{}</span>', each.tone, shape, picture, each.label)


@register.simple_tag
def status(value: Status, pill: bool = False) -> SafeString:
    """A status as icon, word and color; the only way in which a page shows one."""
    return _status(type(value), value.value, pill)


@register.simple_tag
def purpose(kind: Status) -> SafeString:
    """Drill as a quiet tag, recovery as an outlined one that nobody can miss."""
    return format_html('<span class="tag" data-tone="{}">{}</span>', kind.tone, kind.label)


@lru_cache(maxsize=4096)
def _time(moment: datetime, attribute: str, text: str) -> SafeString:
    """All of it is ours: letters, digits and signs that need no escape."""
    return mark_safe(  # noqa: S308
        f'<time datetime="{stamp(moment)}" title="{utc(moment)}"{attribute}>{text}</time>'
    )


@register.simple_tag
def ago(moment: datetime | None, never: str = "never") -> SafeString | str:
    """How long ago; console.js keeps it true between reads."""
    if moment is None:
        return never
    return _time(moment, " data-ago", ago_text(timezone.now() - moment))


@register.simple_tag
def elapsed(start: datetime | None, end: datetime | None = None, bare: bool = False) -> SafeString | str:
    """How long from start to end; without an end, a clock that console.js moves on. `bare`: without the full times."""
    if start is None:
        return "–"
    if bare:
        text = duration_text(_between(start, end or timezone.now()))
        return text if end else format_html('<time datetime="{}" data-elapsed>{}</time>', stamp(start), text)
    if end is None:
        return _time(start, " data-elapsed", duration_text(timezone.now() - start))
    return format_html('<span title="{} to {}">{}</span>', utc(start), utc(end), duration_text(_between(start, end)))


@register.simple_tag
def clock(moment: datetime | None, never: str = "–") -> SafeString | str:
    """The full time, as it stands in reports and in AWS's logs; the same today and tomorrow, also on an open page."""
    return never if moment is None else _time(moment, "", utc(moment))


@register.simple_tag
def duration_of(start: datetime, end: datetime | None, until: datetime) -> str:
    """How long from start to end, or to `until` while it lasts."""
    return duration_text(_between(start, end or until))


def _between(start: datetime, end: datetime) -> timedelta:
    """As somebody finds it from the two times that are shown, and as the API and the report have it."""
    return timedelta(seconds=unix(end) - unix(start))


@register.filter
def is_typeable(name: str) -> bool:
    """Whether keyboards have the letters of a name."""
    return confirmation.is_typeable(name)


@register.filter
def to_type(name: str) -> str:
    """What is typed to confirm: the name, or a code."""
    return confirmation.to_type(name)


@register.filter
def under_way(runs: Iterable[Any]) -> list[list[Any]]:
    """Those of some runs that are not over, as many together as one poll asks for."""
    found = [run for run in runs if run.ended_at is None]
    return [found[at : at + ROWS_A_PAGE] for at in range(0, len(found), ROWS_A_PAGE)]


@register.filter
def duration(seconds: int | None) -> str:
    """Seconds in words; nothing known is a dash."""
    return "–" if seconds is None else duration_text(timedelta(seconds=seconds))


def duration_text(length: timedelta) -> str:
    """The same words as reports and console.js have: 12 s, 6 min 2 s, 3 h 5 min, 4 d 2 h."""
    return span(max(0, int(length.total_seconds())))


def ago_text(span: timedelta) -> str:
    """The same words as console.js makes: 12 seconds ago, 4 minutes ago, 3 hours ago, 2 days ago."""
    seconds = max(0, int(span.total_seconds()))
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now" if seconds < 5 else f"{seconds} seconds ago"
