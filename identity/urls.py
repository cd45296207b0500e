"""The addresses of the console for signing in."""

from django.urls import URLPattern, path

from console.page_access import page
from identity import password, sign_in

urlpatterns: list[URLPattern] = [
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-in/failed", sign_in.sign_in_failed, name="sign-in-failed"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("signed-out", sign_in.signed_out, name="signed-out"),
    path("oidc/authenticate", sign_in.oidc_begin, name="oidc-begin"),
    path("oidc/callback", sign_in.oidc_callback, name="oidc-callback"),
    page("session", sign_in.session, "session"),
    page("settings/password", password.password, "password"),
]
