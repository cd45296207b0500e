"""The page on which people of local mode change their own password."""

from typing import cast

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from identity import accounts


def refuse_with_provider() -> None:
    """Raise Http404 where passwords are the identity provider's business."""
    if settings.PROVIDER is not None:
        raise Http404("Passwords are changed at the identity provider.")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """The old password, and the new one twice. This session goes on; every other, and every API token, is dead."""
    refuse_with_provider()
    user = cast("User", request.user)
    form = PasswordChangeForm(user, request.POST if request.method == "POST" else None, label_suffix="")
    if not form.is_valid():
        context = {"form": form, "changed": "changed" in request.GET and not form.is_bound}
        return render(request, "password.html", context, status=422 if form.is_bound else 200)
    changed = accounts.change_password(
        actor=actor_for(request), user_id=user.pk, password=form.cleaned_data["new_password1"]
    )
    update_session_auth_hash(request, changed)
    return redirect(f"{reverse('password')}?changed")
