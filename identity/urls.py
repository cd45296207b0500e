"""The addresses of the console for signing in."""

from django.urls import URLPattern, path

from console.page_access import page
from contract.rights import Shows
from identity import password, sign_in
from identity.programs import client_views
from identity.programs import views as programs
from identity.provider.published import published
from identity.scoped import views as roles

urlpatterns: list[URLPattern] = [
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-in/failed", sign_in.sign_in_failed, name="sign-in-failed"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("signed-out", sign_in.signed_out, name="signed-out"),
    path("oidc/authenticate", sign_in.oidc_begin, name="oidc-begin"),
    path("oidc/callback", sign_in.oidc_callback, name="oidc-callback"),
    path(".well-known/drsorch", published, name="published"),
    page("session", sign_in.session, "session", Shows.NOTHING),
    page("settings/roles", roles.role_list, "roles"),
    page("settings/roles/<int:role_id>/take", roles.role_take, "take-role"),
    page("settings/password", password.password, "password", Shows.NOTHING),
    page("settings/tokens", programs.token_list, "service-tokens"),
    page("settings/tokens/<uuid:token_id>/revoke", programs.token_revoke, "revoke-service-token"),
    page("settings/clients", client_views.client_new, "new-service-client"),
    page("settings/clients/<uuid:service_client_id>/revoke", client_views.client_revoke, "revoke-service-client"),
]
