"""Django settings. Every environment variable that the product reads is read here and nowhere else."""

import tomllib
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, FileAwareEnv, validate

from drsorch_site.configuration.databases import read_database
from drsorch_site.configuration.journal_verbs import ACTIONS, THINGS, WORDS
from drsorch_site.configuration.mail import read_mail
from drsorch_site.configuration.places import read_archive, read_place
from drsorch_site.configuration.public_url import check_exposure, read_address
from identity.provider.cognito import Provider, WrongSetting, read_provider, settings_of
from identity.roles import ROLES

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

# X_FILE may name a file that holds X, for secrets that must not be in an environment.
env = FileAwareEnv(strip_whitespace=True)
# What botocore reads by itself, it reads from X alone; we must not see what it does not.
plain_env = Env()


def _broker(choice: str) -> dict[str, Any]:
    """django-q2's broker options for DRSORCH_BROKER; always a wake-up channel, never the truth."""
    if choice == "orm":
        return {"broker_class": "executions.brokers.Database", "orm": "default"}
    if choice.startswith(("redis://", "rediss://")):
        return {"broker_class": "executions.brokers.Redis", "redis": choice}
    if choice == "sqs":
        return {"broker_class": "executions.brokers.Sqs"}
    raise EnvError('Environment variable "DRSORCH_BROKER" invalid: use orm, redis://HOST:PORT/DB, rediss://… or sqs')


def _long_enough(name: str, token: str) -> None:
    """A token that opens something must not be guessed."""
    if 0 < len(token) < 16:
        raise EnvError(f'Environment variable "{name}" invalid: use at least 16 random characters')


def _networks(given: list[str]) -> list[IPv4Network | IPv6Network]:
    """Networks of one's own that webhooks may lead to, such as 10.0.0.0/8."""
    try:
        return [ip_network(each) for each in given]
    except ValueError as error:
        raise EnvError(f'Environment variable "DRSORCH_WEBHOOK_NETWORKS" invalid: {error}') from None


def _provider() -> Provider:
    """The identity provider of DRSORCH_AUTH=cognito."""
    names = ("REGION", "USER_POOL_ID", "CLIENT_ID", "CLIENT_SECRET", "CLI_CLIENT_ID", "DOMAIN")
    addresses = ("ISSUER", "JWKS_URL", "AUTHORIZE_URL", "TOKEN_URL", "LOGOUT_URL", "REVOKE_URL")
    given = {f"COGNITO_{name}": env.str(f"COGNITO_{name}", "").strip() for name in (*names, *addresses)}
    role_groups: dict[str, str] = env.dict("DRSORCH_ROLE_GROUPS", {})
    return read_provider(given, role_groups, is_test=env.bool("COGNITO_TEST_MODE", False))


DEFAULT_RATES = {"anon": "30/min", "user": "600/min", "start": "30/min", "discovery": "60/min", "door": "60/min"}

try:
    SECRET_KEY = env.str("DJANGO_SECRET_KEY", validate=validate.Length(min=32))
    SECRET_KEY_FALLBACKS: list[str] = env.list("DJANGO_SECRET_KEY_FALLBACKS", [])
    DEBUG = env.bool("DJANGO_DEBUG", False)
    PUBLIC = read_address(
        env.str("DRSORCH_PUBLIC_URL", "http://127.0.0.1:8000"), may_be_plain=env.bool("DRSORCH_PLAIN_HTTP", False)
    )
    TRUSTED_PROXY = env.bool("DRSORCH_TRUSTED_PROXY", False)
    ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", sorted({"127.0.0.1", "localhost", PUBLIC.host}))
    check_exposure(PUBLIC, hosts=ALLOWED_HOSTS, debug=DEBUG, secret=SECRET_KEY)
    DATABASES = {
        "default": read_database(
            env.str("DATABASE_URL", f"sqlite:///{VAR_DIR}/drsorch.sqlite3"),
            pooled=env.bool("DRSORCH_DATABASE_POOL", False),
            password=env.str("PGPASSWORD", ""),
        )
    }
    AUTH_MODE = env.str("DRSORCH_AUTH", "local", validate=validate.OneOf(["local", "cognito"]))
    PROVIDER = _provider() if AUTH_MODE == "cognito" else None
    DEFAULT_ROLE = env.str("DRSORCH_DEFAULT_ROLE", "viewer", validate=validate.OneOf(list(ROLES)))
    POLL_SECONDS = env.float("DRSORCH_POLL_SECONDS", 15.0, validate=validate.Range(min=0.1, max=3600))
    WAVE_TIMEOUT_SECONDS = env.int("DRSORCH_WAVE_TIMEOUT_SECONDS", 1800, validate=validate.Range(min=1))
    GATE_REMINDER_MINUTES = env.int("DRSORCH_GATE_REMINDER_MINUTES", 30, validate=validate.Range(min=0, max=525_600))
    INVENTORY_SECONDS = env.float("DRSORCH_INVENTORY_SECONDS", 60.0, validate=validate.Range(min=1))
    LEASE_SECONDS = env.float("DRSORCH_LEASE_SECONDS", 60.0, validate=validate.Range(min=1))
    SEND_WINDOW_SECONDS = env.float("DRSORCH_SEND_WINDOW_SECONDS", 30.0, validate=validate.Range(min=0.1, max=60))
    LAUNCH_QUARANTINE_SECONDS = env.float("DRSORCH_LAUNCH_QUARANTINE_SECONDS", 660.0, validate=validate.Range(min=1))
    SESSION_MINUTES = env.int("DRSORCH_SESSION_MINUTES", 45, validate=validate.Range(min=1, max=720))
    WORKERS = env.int("DRSORCH_WORKERS", 4, validate=validate.Range(min=1, max=64))
    THROTTLES = {
        scope: env.str(f"DRSORCH_THROTTLE_{scope.upper()}", rate, validate=validate.Regexp(r"[1-9]\d*/(s|min|h)$"))
        for scope, rate in DEFAULT_RATES.items()
    }
    RETENTION_DAYS = env.int("DRSORCH_RETENTION_DAYS", 0, validate=validate.Range(min=0, max=36_500))
    ARCHIVE = read_archive(env.str("DRSORCH_ARCHIVE", ""), is_used=RETENTION_DAYS > 0)
    RUNBOOKS = read_place("DRSORCH_RUNBOOKS", env.str("DRSORCH_RUNBOOKS", ""))
    BUNDLE = read_place("DRSORCH_BUNDLE", env.str("DRSORCH_BUNDLE", ""))
    MONTHLY_PRICES: dict[str, float] = env.dict("DRSORCH_MONTHLY_PRICES", {}, subcast_values=float)
    MAIL = read_mail(env.str("DRSORCH_MAIL", ""))
    DEFAULT_FROM_EMAIL = env.str("DRSORCH_MAIL_FROM", f"drsorch@{PUBLIC.host.strip('[]')}", validate=validate.Email())
    WEBHOOK_NETWORKS = _networks(env.list("DRSORCH_WEBHOOK_NETWORKS", []))
    CACHE_DIR = env.path("DRSORCH_CACHE_DIR", VAR_DIR / "cache")
    METRICS_TOKEN = env.str(
        "DRSORCH_METRICS_TOKEN", "", validate=lambda text: _long_enough("DRSORCH_METRICS_TOKEN", text)
    )
    LOG_FORMAT = env.str("LOG_FORMAT", "console", validate=validate.OneOf(["json", "console"]))
    Q_BROKER = _broker(env.str("DRSORCH_BROKER", "orm"))
    AWS_REGION = env.str("AWS_REGION", env.str("AWS_DEFAULT_REGION", "us-east-1"))
    INSTALLATION = env.str("DRSORCH_INSTALLATION", "", validate=validate.Regexp(r"[A-Za-z0-9._-]{0,128}$"))
    ENGINE_ROLE = env.str(
        "DRSORCH_ENGINE_ROLE", "", validate=validate.Regexp(r"(arn:[a-z-]+:iam::[0-9]{12}:role/.+)?$")
    )
    DELETION_PROTECTION = env.bool("DRSORCH_DELETION_PROTECTION", True)
    AWS_ENDPOINT_URL_DRS = plain_env.str("AWS_ENDPOINT_URL_DRS", "")
    if LAUNCH_QUARANTINE_SECONDS < SEND_WINDOW_SECONDS + 600 and not AWS_ENDPOINT_URL_DRS:
        raise EnvError(
            'Environment variable "DRSORCH_LAUNCH_QUARANTINE_SECONDS" invalid: less than the send window plus 600 s'
            " could launch twice on AWS; shorter times are for a simulator"
        )
except EnvError as error:
    raise ImproperlyConfigured(str(error)) from None
except (WrongSetting, ValueError) as error:  # ValueError: X_FILE names no readable file
    raise ImproperlyConfigured(str(error)) from None

INSTALLED_APPS = [
    "drsorch_site.apps.SiteConfig",
    "takeover",
    "identity.apps.IdentityConfig",
    "doctor.apps.DoctorConfig",
    "schedules.apps.SchedulesConfig",
    "drill_requests.apps.DrillRequestsConfig",
    "findings.apps.FindingsConfig",
    "documents.apps.DocumentsConfig",
    "native_plans.apps.NativePlansConfig",
    "reports",
    "executions",
    "notify",
    "plans",
    "protection",
    "accounts",
    "audit",
    "contract",
    "django_q",
    "axes",
    "rest_framework",
    "drf_spectacular_sidecar",
    "django_htmx",
    "heroicons",
    "csp",
    "drsorch_site.apps.OperationsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    # These stand before whatever could answer by itself, so that no answer lacks their headers.
    "contract.request_ids.RequestIdMiddleware",
    "console.headers.HeadersMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "console.headers.ClientAddressMiddleware",
    "console.headers.ProbeHostMiddleware",
    "contract.rest.answers.compression.CompressionMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "identity.throttles.AnonymousThrottleMiddleware",
    "identity.throttles.StartCountMiddleware",
    "identity.throttles.SignInThrottleMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "console.visible_pages.VisiblePagesMiddleware",
    "console.headers.BrokenFormMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "identity.session_expiry.SessionClock",  # ends a session before anybody is recognized by it
    "identity.provider.session_renewal.Renewal",  # … and asks the provider again before that
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "drsorch_site.metrics.AwsErrorsMiddleware",
    "audit.middleware.RefusalMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

FORCE_SCRIPT_NAME = ""  # the whole site is ours, whatever a header or the server's environment says
ROOT_URLCONF = "drsorch_site.urls"
WSGI_APPLICATION = "drsorch_site.wsgi.application"
APPEND_SLASH = False
JOURNAL_VERBS = ACTIONS
JOURNAL_WORDS, JOURNAL_THINGS = WORDS, THINGS
ENGINE_CHORES, ENGINE_THREADS = ["schedules.due.look"], ["takeover.writer.run"]  # for rooms above the engine's

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "drsorch_site.page_context.console",
            ],
            "builtins": [
                "console.templatetags.console",
                "console.templatetags.kept_parts",
                "console.templatetags.quick_urls",
                "accounts.templatetags.aws_accounts",
                "heroicons.templatetags.heroicons",
            ],
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_I18N = False
FORMAT_MODULE_PATH = "drsorch_site.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_ALLOW_ALL_ORIGINS = False  # its default lets every site read them
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "identity.auth.RoleBackend"]
AXES_ENABLED = True
if PROVIDER:  # one way in at a time: then no password of ours opens anything, the administration neither
    globals().update(settings_of(PROVIDER))
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # nobody locks an administrator out from elsewhere
AXES_CLIENT_IP_CALLABLE = "identity.throttles.origin_of"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the journal has it
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "identity.sign_in.locked_out"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "signed-out"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# `__Host-`: only https, only this host, only the whole site. Browsers refuse it over http, as on a developer's machine.
COOKIE_PREFIX = "__Host-" if PUBLIC.is_https else ""
SESSION_ENGINE = "identity.sessions"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}session"
SESSION_COOKIE_SECURE = PUBLIC.is_https
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrf"
CSRF_COOKIE_SECURE = PUBLIC.is_https
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC.origin] if PUBLIC.is_https else []
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = PUBLIC.is_https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # load balancers ask over http
SECURE_HSTS_SECONDS = 365 * 86400 if PUBLIC.is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PUBLIC.is_https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # HSTS preload commits a whole registered domain: not ours to decide
if PROVIDER:
    SILENCED_SYSTEM_CHECKS.append("axes.W003")  # axes counts wrong passwords, and no password of ours opens anything
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # the editors send each chosen server as a field; Django's 1,000 are too few

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF, *(PROVIDER.form_origins if PROVIDER else [])],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "identity.auth.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["contract.rest.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["contract.rest.answers.renderers.CompactJson"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "contract.rest.negotiation.AlwaysJson",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS would describe views, the schema does that
    "DEFAULT_THROTTLE_CLASSES": [
        "identity.throttles.PrincipalThrottle",
        "identity.throttles.StartThrottle",
        "identity.throttles.DiscoveryThrottle",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "contract.rest.handlers.api_exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "DRS Orchestration",
    "DESCRIPTION": "Protection groups, recovery plans and their runs on AWS Elastic Disaster Recovery."
    " Fields are accepted in camelCase and PascalCase; answers are in camelCase.",
    "PREPROCESSING_HOOKS": ["contract.rest.schema.one_address_each"],
    "POSTPROCESSING_HOOKS": ["contract.rest.schema.with_shapes", "executions.api.code_schema.with_codes"],
    "SCHEMA_PATH_PREFIX": "",
}

# Notifications. By http, for a receiver on a developer's machine, only where nothing is at risk.
WEBHOOK_PLAIN = DEBUG
EMAIL_TIMEOUT = 5  # for each step of the conversation with the mail server
if MAIL:
    globals().update(MAIL.settings)

# Files: the processes of a host share them without a database write for each request (docs/adr/0006-hardening.md).
CACHES = {
    "default": {
        "BACKEND": "contract.storage.file_cache.FileCache",
        "LOCATION": CACHE_DIR,
        "OPTIONS": {"MAX_ENTRIES": 1_000},  # some more, until room is made
    }
}

Q_CLUSTER = {
    "name": "drsorch",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "poll": 0.2,
    "guard_cycle": 1,  # how often its processes are looked after: each look writes a file
    "timeout": 40,  # more than the slowest AWS call (3 + 20 s), and what comes before and after it
    "retry": 120,  # more than timeout x (queue_limit / workers + 1)
    "ack_failures": True,
    "max_attempts": 1,  # our rows retry, the broker does not
    "save_limit": 250,
    "catch_up": False,
    "recycle": 500,
    "label": "Engine queue",
    **Q_BROKER,
}

# What must never stand in a log, whatever stands before it.
SECRETS = [
    SECRET_KEY,
    *SECRET_KEY_FALLBACKS,
    METRICS_TOKEN,
    str(DATABASES["default"].get("PASSWORD", "")),
    Q_BROKER.get("redis", ""),
]
if PROVIDER:
    SECRETS.append(PROVIDER.client_secret)
if MAIL:
    SECRETS.append(MAIL.password)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "console": {"()": "drsorch_site.configuration.logs.ConsoleLines", "secrets": SECRETS},
        "json": {"()": "drsorch_site.configuration.logs.JsonLines", "secrets": SECRETS},
    },
    "filters": {"refusals": {"()": "drsorch_site.configuration.logs.BriefRefusals"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["refusals"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "axes": {"level": "WARNING"},
        "django-q": {"level": "WARNING"},
        # The web server's lines, in the form of ours.
        "gunicorn.access": {"handlers": ["console"], "propagate": False},
        "gunicorn.error": {"handlers": ["console"], "propagate": False},
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
