"""What the address of a page asks and the page cannot use: the page says so, and a file that would hold something else
is refused. Filters say it themselves, beside their fields."""

from collections.abc import Collection
from difflib import get_close_matches

from django.core.exceptions import TooManyFieldsSent
from django.forms import Form
from django.http import HttpRequest

from contract.errors import Invalid

# What people may type into an address themselves.
TYPED = frozenset({
    "account", "actor", "days", "dry_run", "execution", "format", "group", "hidden", "kind", "label", "name", "outcome",
    "page", "plan", "q", "readiness", "region", "server", "servers", "since", "sort", "state", "status", "subject",
    "until", "verb", "wave",
})  # fmt: skip
# All that some page of the console reads from its address. Another name is a typing error, which filters nothing.
KNOWN = TYPED | {
    "a", "after", "again", "arn", "ask", "b", "changed", "choose", "code", "done", "empty", "engine", "error", "errors",
    "expired", "first", "gate", "instance", "mark", "most", "next", "over", "pages", "place", "point", "rev", "row",
    "rows", "run", "seen", "story", "told", "why", "write",
}  # fmt: skip
MOST_TOLD = 5


def unusable(request: HttpRequest) -> dict[str, str]:
    """Parameters that cannot be used, and why: templates/_unusable.html tells them."""
    found: dict[str, str] | None = request.__dict__.get("unusable")
    if found is None:
        is_part = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
        found = request.__dict__["unusable"] = {} if is_part else _unknown(request)
    return found


def _unknown(request: HttpRequest) -> dict[str, str]:
    try:
        names = [each for each in request.GET if each not in KNOWN][:MOST_TOLD]
    except TooManyFieldsSent:  # the page that refuses it asks, too
        return {}
    user = getattr(request, "user", None)
    if not names or user is None or not user.is_authenticated:  # an identity provider sends more than is read
        return {}
    near = {name: get_close_matches(name[:64], TYPED, 1) for name in names}
    return {
        name[:64]: f"no page knows that name.{f' Did you mean “{found[0]}”?' if found else ''}"
        for name, found in near.items()
    }


def cannot_use(request: HttpRequest, name: str, why: str) -> None:
    unusable(request).setdefault(name, why)


def cannot_find(request: HttpRequest, name: str, of: Collection[str]) -> None:
    """Tells of a parameter that has none of the few words which it may have."""
    if request.GET.get(name, "") not in ("", *of):
        words = " or ".join(of)
        cannot_use(request, name, f"{words} is expected." if words else "there is nothing to choose.")


def wanted_file(request: HttpRequest, kinds: Collection[str] = ("csv",), *filters: Form) -> str:
    """The kind of file that the address asks for, empty for the page. Raises Invalid for a file that would not be what
    the address asks."""
    cannot_find(request, "format", kinds)
    kind = request.GET.get("format", "")
    if kind not in kinds:
        return ""
    wrong = {name: [why] for name, why in unusable(request).items()} | _errors(filters)
    if wrong:
        told = "; ".join(f"{name}: {texts[0]}" for name, texts in wrong.items())
        raise Invalid(wrong, message=f"No file was made: it would not hold what the address asks for. {told}")
    return kind


def _errors(filters: Collection[Form]) -> dict[str, list[str]]:
    return {name: [str(each) for each in texts] for form in filters for name, texts in form.errors.items()}
