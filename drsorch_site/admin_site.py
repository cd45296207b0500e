"""Django's admin, for operations: the same door as the console, the same rights, and nothing that leaves no trace."""

from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.options import TO_FIELD_VAR
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from audit.journaled_admin import Journaled, ReadOnly, ServiceAdmin
from identity.sign_in import sign_out

RIGHT = "executions.delete_execution"  # which only administrators have
OURS = (ReadOnly, ServiceAdmin, Journaled)
QUEUE = "django_q"
MOST_WORDS = 20  # of a search; each is a condition in each column
FILTERED = frozenset({"exact", "in", "isnull"})  # what filters ask


class Bounded(admin.ModelAdmin):  # type: ignore[type-arg]  # django-stubs makes it generic, Django does not
    """Lists that can be asked what their page asks. Django's own take any lookup of any column: a regular expression
    that keeps a process busy for good, a sealed key letter by letter, a year that no database knows."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters = [each[0] if isinstance(each, tuple) else each for each in self.get_list_filter(request)]
        names = {each if isinstance(each, str) else getattr(each, "parameter_name", "") for each in filters}
        name, _, kind = lookup.rpartition("__")
        is_asked = lookup in names or (kind in FILTERED and not names.isdisjoint({name, name.removesuffix("__id")}))
        return is_asked and super().lookup_allowed(lookup, value, request)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        return super().get_search_results(request, queryset, " ".join(search_term.split()[:MOST_WORDS]))


class OperationsSite(AdminSite):
    """Where `admin.site` comes from: see OperationsAdminConfig."""

    site_header = site_title = "DRS Orchestration operations"
    index_title = "Operations"

    def get_urls(self) -> list[Any]:
        """Without Django's way from a row to its page on the site, which none of ours has."""
        return [each for each in super().get_urls() if getattr(each, "name", "") != "view_on_site"]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Django's, but that an empty name of a field is refused, at which its own pages fail."""

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **parts: Any) -> Any:
            if "" in (request.GET.get(TO_FIELD_VAR), request.POST.get(TO_FIELD_VAR)):
                raise BadRequest("No field is named.")
            if "\0" in request.path_info or any("\0" in each for texts in request.GET.lists() for each in texts[1]):
                raise BadRequest("An address has no null characters.")  # at which PostgreSQL fails
            return view(request, *args, **parts)

        return super().admin_view(checked, cacheable)

    def has_permission(self, request: HttpRequest) -> bool:
        user: User | AnonymousUser = request.user
        return user.is_active and user.has_perm(RIGHT)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.user.is_authenticated:
            raise PermissionDenied("The administration is for administrators.")
        target = request.GET.get("next") or reverse("admin:index")
        return redirect(f"{reverse('sign-in')}?{urlencode({'next': target})}")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("password")  # the console has the page, and in Cognito mode has none

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """What a package brings for itself is journaled; the queue, which belongs to the engine, is only shown."""
        if admin_class is not None and not issubclass(admin_class, OURS):
            models: list[Any] = [model_or_iterable] if isinstance(model_or_iterable, type) else [*model_or_iterable]
            is_queue = any(model._meta.app_label == QUEUE for model in models)
            bases = (ReadOnly if is_queue else Journaled, admin_class)
            admin_class = type(admin_class.__name__, bases, {"actions": ()} if is_queue else {})
        if admin_class is not None:
            admin_class = type(admin_class.__name__, (Bounded, admin_class), {})
        super().register(model_or_iterable, admin_class, **options)
