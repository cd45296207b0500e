"""How Django's admin is tied to our house: pages that only show, forms whose saving is a service, and an entry in the
journal for whatever else is changed there."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from audit.actor import Actor
from audit.journal import record
from audit.request_actor import actor_for
from contract.errors import DomainError, Invalid

# django-stubs makes these generic, Django does not.
ModelAdmin = admin.ModelAdmin
ModelForm = forms.ModelForm


class ReadOnly(ModelAdmin):  # type: ignore[type-arg]  # see above
    """Rows to look at. Who comes this far may see them: the site asks for the right."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Journaled(ModelAdmin):  # type: ignore[type-arg]  # see above
    """Rows of packages without services, such as users: the journal says what was changed, but no password."""

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if change:  # the form has changed its own copy already
            request.journal_before = _columns(self.model._default_manager.get(pk=form.instance.pk))  # type: ignore[attr-defined]
        return super().save_form(request, form, change)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _note(request, "create", obj, after=_columns(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        before, after = getattr(request, "journal_before", None), _columns(obj)
        detail = {"changed": message} | _changed_members(before or after, after)
        _note(request, "update", obj, before=before, after=after, detail=detail)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        for obj in queryset:
            _note(request, "delete", obj, before=_columns(obj))
        return super().log_deletions(request, queryset)


# In the journal's words a group is a protection group.
KINDS = {"auth.group": "role"}


def _note(request: HttpRequest, verb: str, obj: Model, **kept: Any) -> None:
    kind = KINDS.get(obj._meta.label_lower, str(obj._meta.model_name))
    record(actor_for(request), f"{kind}.{verb}", subject_kind=kind, subject_id=obj.pk, subject_name=str(obj), **kept)


def _columns(obj: Model) -> dict[str, Any]:
    columns = {name: value for name, value in model_to_dict(obj, exclude=["password"]).items() if name not in RIGHTS}
    told = {name: [*map(str, value)] if isinstance(value, list) else str(value) for name, value in columns.items()}
    return told | {name: _codenames(getattr(obj, name)) for name in RIGHTS if hasattr(obj, name)}


RIGHTS = ("permissions", "user_permissions")


def _codenames(rights: Any) -> list[str]:
    """As `has_perm` takes them."""
    return sorted(f"{app}.{code}" for app, code in rights.values_list("content_type__app_label", "codename"))


def _changed_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which rights, and roles of a user, came and went: a reader must not compare two long lists."""
    found: dict[str, list[str]] = {}
    for name in (*RIGHTS, "groups"):
        old, new = set(before.get(name, ())), set(after.get(name, ()))
        if old != new:
            found |= {f"{name}Added": sorted(new - old), f"{name}Removed": sorted(old - new)}
    return found


class ServiceForm(ModelForm):  # type: ignore[type-arg]  # see above
    """A form whose last step of validation is the service itself: it alone knows whether the change is possible.

    `columns` maps the contract's field names to the form's.
    """

    actor: Actor
    columns: Mapping[str, str] = {}

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def perform(self, given: dict[str, Any]) -> Model:
        """Call the service; a DomainError is shown at the field it is about."""
        raise NotImplementedError

    @property
    def expected(self) -> list[int] | None:
        """The version that the page was shown with."""
        version = self.cleaned_data.get("version")
        return None if version is None else [version]

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if self.errors:
            return given
        try:
            self.instance = self.perform(self.cleaned_data)
        except Invalid as error:
            for path, texts in error.fields.items():
                self._refuse(path, texts)
        except DomainError as error:
            self.add_error(None, error.message)
        return given

    def _refuse(self, path: str, texts: Iterable[str]) -> None:
        name, _, place = path.partition("[")
        field = self.columns.get(name)
        where = "" if field and not place else f"{path}: "
        for text in texts:
            self.add_error(field, f"{where}{text}")

    def _post_clean(self) -> None:
        """The row is as the service left it; Django would write the form's values into it again."""


class ServiceAdmin(ModelAdmin):  # type: ignore[type-arg]  # see above
    """Rows that are added, changed and deleted by services only."""

    remove: Callable[..., object]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        form.actor = actor_for(request)  # the class is made for this request alone
        return form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without Django's transaction around it: services have their own, and ask AWS before they open it."""
        answer: HttpResponse = self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]
        return answer

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has done it."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The service decides what may go, not a count of the rows that would go with it."""
        return [str(each) for each in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        type(self).remove(actor_for(request), obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", object_id)


def report_each(
    model_admin: Any, request: HttpRequest, rows: Iterable[Model], verb: Callable[[Actor, Model], object], done: str
) -> None:
    """Do a verb to each chosen row, and tell for each what became of it."""
    for row in rows:
        try:
            verb(actor_for(request), row)
        except DomainError as error:
            model_admin.message_user(request, f"{row}: {error.message}", messages.ERROR)
        else:
            model_admin.message_user(request, f"{row}: {done}.", messages.SUCCESS)
