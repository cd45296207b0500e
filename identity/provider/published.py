"""What a program learns of the sign-in before anybody has signed in: where, and as which public client."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from identity.provider.cognito import Provider

SCOPE = "openid email profile"


@require_safe
@never_cache
def published(request: HttpRequest) -> JsonResponse:
    """`local`: with a token that somebody was given. `oidc`: at the issuer, by `clientId`, where it is not empty. None
    of it is a secret: the sign-in page leads there, too."""
    provider: Provider | None = settings.PROVIDER
    if provider is None:
        return JsonResponse({"signIn": "local"})
    public = {"issuer": provider.issuer, "clientId": provider.cli_client_id, "scope": SCOPE}
    return JsonResponse({"signIn": "oidc", **public})
