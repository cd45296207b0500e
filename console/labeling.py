"""Setting or taking away a label of several things of a list at once, each by the command that changes one."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from console.pages import HtmxHttpRequest, Question, go
from console.ticked import Ticked
from contract.errors import DomainError
from contract.labels.rules import Label, faults, parsed, trimmed, written
from contract.plurals import counted

MOST = 100  # of one request


@dataclass(frozen=True)
class Labeled:
    """Something that was ticked, with the labels that it has; `against` is why they cannot be changed, or empty."""

    pk: uuid.UUID
    name: str
    labels: Mapping[str, str]
    version: int
    against: str = ""

    @property
    def written(self) -> str:
        return written(self.labels)


@dataclass(frozen=True)
class Labeling:
    """What is labeled: `noun` is one of it, `listed` the address of its list, `address` that of the question; `save`
    gives one thing exactly these labels, if it is still of that version, or raises a DomainError."""

    noun: str
    listed: str
    address: str
    parameter: str
    heading: str
    save: Callable[[Labeled, Sequence[Label]], object]

    def ticked(self, request: HttpRequest) -> Ticked:
        return Ticked.of(request, self.parameter, MOST)

    def answer(self, request: HtmxHttpRequest, ticked: Ticked, things: Sequence[Labeled]) -> HttpResponse:
        """The question, or what became of its answer."""
        form = LabelForm(request.POST if ticked.is_answer else None)
        ready = [each for each in things if not each.against]
        if ready and form.is_valid():
            self._change(request, form, ready)
            return go(request, "", self.listed)
        context: dict[str, Any] = {
            "labeling": self,
            "ticked": ticked,
            "ready": ready,
            "refused": [each for each in things if each.against],
            "form": form,
        }
        question = Question("_label_chosen.html", "Set or remove a label", [(self.heading, reverse(self.listed))])
        return question.answer(request, context, status=422 if form.errors else 200)

    def _change(self, request: HttpRequest, form: "LabelForm", ready: Iterable[Labeled]) -> None:
        changed, same = 0, 0
        for each in ready:
            wanted = form.applied(each.labels)
            if wanted == each.labels:
                same += 1
                continue
            try:
                self.save(each, sorted(wanted.items()))
                changed += 1
            except DomainError as refusal:
                messages.error(request, f"{each.name}: {_why(refusal)}")
        if changed:
            messages.success(request, f"{form.told} {counted(changed, self.noun)}.")
        if same:
            messages.info(request, f"{counted(same, self.noun)} had nothing to change.")


def _why(refusal: DomainError) -> str:
    texts = [text for found in getattr(refusal, "fields", {}).values() for text in found]
    return " ".join(texts) or refusal.message


class LabelForm(forms.Form):
    """One label, and what becomes of it; of one that is removed only the key counts."""

    label = forms.CharField(
        label="Label",
        help_text="key=value, or a key alone",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "app=payments"}),
        error_messages={"required": "Write the label."},
    )
    do = forms.ChoiceField(choices=[("set", "Set"), ("remove", "Remove")])

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="%s", label_suffix="")

    def clean_label(self) -> Label:
        found = trimmed(parsed(self.cleaned_data["label"]))
        if len(found) != 1:
            raise forms.ValidationError("One label at a time: key=value, or a key alone.")
        if wrong := faults(found):
            raise forms.ValidationError(wrong[0])
        return found[0]

    def applied(self, labels: Mapping[str, str]) -> dict[str, str]:
        """These labels with the change."""
        key, value = self.cleaned_data["label"]
        rest = {each: labels[each] for each in labels if each != key}
        return rest if self.cleaned_data["do"] == "remove" else {**rest, key: value}

    @property
    def told(self) -> str:
        key, value = self.cleaned_data["label"]
        if self.cleaned_data["do"] == "remove":
            return f"The label {key} was removed from"
        return f"The label {written([(key, value)])} was set on"
