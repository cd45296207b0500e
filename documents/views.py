"""The page of configuration documents: take one away, look at what one would change, apply that."""

from dataclasses import dataclass
from difflib import unified_diff

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from audit.request_actor import actor_for
from console.listed_words import some
from console.pages import go
from contract.errors import DomainError, Forbidden, Invalid
from contract.plurals import counted
from documents.apply import apply, may_apply_any, not_allowed
from documents.difference import Change, Difference, difference, refuse_empty
from documents.export import TYPES, WHOLE, exported
from documents.format.kinds import Item, in_short
from documents.format.text import as_yaml
from documents.models import Applied
from documents.stored import masked
from documents.write_rows import Secret

SHOWN = 200  # changes that the page lists
CONTEXT = 1  # unchanged lines around a change


class DocumentForm(forms.Form):
    """A document as it was typed, or a file of it."""

    document = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false"})
    )
    file = forms.FileField(required=False)
    prune = forms.BooleanField(required=False)
    digest = forms.CharField(required=False)

    def clean(self) -> dict[str, object]:
        """A file takes the place of what was typed."""
        given = self.cleaned_data
        if upload := given.get("file"):
            try:
                given["document"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError({"file": "This file is no text in UTF-8."}) from None
        return given


@dataclass
class Shown:
    """What the page says."""

    form: DocumentForm
    text: str = ""
    found: Difference | None = None
    problem: DomainError | None = None
    secrets: tuple[Secret, ...] = ()


@require_http_methods(["GET", "HEAD", "POST"])
def configuration(request: HttpRequest) -> HttpResponse:
    """Ask for a document; say what it would change; apply it if that was looked at."""
    shown = Shown(DocumentForm(request.POST or None, request.FILES or None, label_suffix=""))
    if request.method == "POST" and shown.form.is_valid():
        shown.text = shown.form.cleaned_data["document"]
        try:
            if shown.form.cleaned_data["digest"] and not shown.form.cleaned_data["file"]:
                return _applied(request, shown)
            refuse_empty(shown.text.strip())
            shown.found = difference(shown.text, prune=shown.form.cleaned_data["prune"])
        except Forbidden:
            raise
        except DomainError as error:
            shown.problem = error
    return _page(request, shown)


def _applied(request: HttpRequest, shown: Shown) -> HttpResponse:
    given = shown.form.cleaned_data
    done = apply(actor=actor_for(request), document=shown.text, digest=given["digest"], prune=given["prune"])
    said = f"{counted(len(done.difference.changes), 'change')} applied."
    if not done.secrets:
        return go(request, said, "configuration")
    messages.success(request, said)
    shown.secrets = tuple(done.secrets)
    return _page(request, shown)


def _page(request: HttpRequest, shown: Shown) -> HttpResponse:
    actor = actor_for(request)
    whole = actor.may(WHOLE)
    changes = shown.found.changes if shown.found else ()
    faults = getattr(shown.problem, "fields", {})
    context = {
        "form": shown.form,
        "text": shown.text,
        "prune": bool(request.POST.get("prune")),
        "found": shown.found,
        "count": len(changes),
        "rows": [Row(each, whole) for each in changes[:SHOWN]],
        "more": len(changes) - SHOWN,
        "problem": shown.problem,
        "faults": [(path, text) for path, texts in faults.items() for text in texts],
        "secrets": shown.secrets,
        "applied": Applied.objects.exclude(at=None).first(),
        "formats": list(TYPES),
        "may_apply": may_apply_any(actor),
        "not_allowed": some(not_allowed(actor, changes)),
    }
    status = shown.problem.status if shown.problem else 422 if shown.form.errors else 200
    return render(request, "documents/configuration.html", context, status=status)


@dataclass(frozen=True)
class Line:
    """A line of an object's document: `ins`, `del`, or neither."""

    text: str
    tag: str


@dataclass(frozen=True)
class Row:
    """One change as people read it: the lines of the document that come and go."""

    change: Change
    whole: bool

    @property
    def lines(self) -> list[Line]:
        old = self._text(self.change.before.item if self.change.before else None)
        new = self._text(self.change.after)
        found = list(unified_diff(old, new, lineterm="", n=CONTEXT))[2:]  # without the names of files
        tags = {"+": "ins", "-": "del"}
        return [Line(each if each[0] in "+- " else "…", tags.get(each[0], "")) for each in found]

    def _text(self, item: Item | None) -> list[str]:
        return as_yaml([in_short(item if self.whole else masked(item))]).splitlines() if item else []


@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The configuration as a file."""
    form = request.GET.get("format", "") or "yaml"
    if form not in TYPES:
        raise Invalid({"format": [f"{' or '.join(TYPES)} is expected."]})
    text = exported(form, whole=actor_for(request).may(WHOLE))
    headers = {"Content-Disposition": f'attachment; filename="configuration.{form}"'}
    return HttpResponse(text, content_type=TYPES[form], headers=headers)
