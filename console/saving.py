"""What a page does with a form that a service judges: save it, or say at each field what the service says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django import forms
from django.http import HttpRequest

from contract.errors import DomainError, Forbidden

T = TypeVar("T")


@dataclass
class Saving(Generic[T]):
    """What became of a form: `saved`, or `problem` and the form's errors; neither of one that was not sent yet."""

    form: forms.Form
    saved: T | None = None
    problem: DomainError | None = None

    @property
    def status(self) -> int:
        """Of the page that shows the form."""
        return self.problem.status if self.problem else 422 if self.form.errors else 200

    def context(self) -> dict[str, Any]:
        """What the page says of it."""
        errors = {name: list(texts) for name, texts in self.form.errors.items()}
        summary = [(f"id_{name}", f"{self._label(name)}{text}") for name, texts in errors.items() for text in texts]
        return {"form": self.form, "problem": self.problem, "errors": errors, "summary": summary}

    def _label(self, name: str) -> str:
        """The field's name before what is wrong with it; empty for what is wrong with none alone."""
        field = self.form[name] if name in self.form.fields else None
        return f"{field.label}: " if field else ""


def save_form(
    request: HttpRequest,
    form: forms.Form,
    save: Callable[[], T],
    places: Mapping[str, str],
    elsewhere: str | None = None,
) -> Saving[T]:
    """Save what was sent, if it can be read. A refusal's fields are told at the form's, by `places` where their names
    differ; one that the form does not have, at `elsewhere`. Raises Forbidden."""
    found: Saving[T] = Saving(form)
    if request.method == "POST" and form.is_valid():
        try:
            found.saved = save()
        except Forbidden:
            raise
        except DomainError as error:
            found.problem = error
            for path, texts in getattr(error, "fields", {}).items():
                place = places.get(path, path)
                form.add_error(place if elsewhere is None or place in form.fields else elsewhere, list(texts))
    return found
