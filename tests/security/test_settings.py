"""Production settings: Django's own check finds nothing, and unsafe combinations stop the start with one sentence."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from drsorch_site.configuration.databases import read_database
from drsorch_site.configuration.places import read_archive, read_place
from drsorch_site.configuration.public_url import check_exposure, read_address
from identity.provider.cognito import WrongSetting

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SECRET = secrets.token_urlsafe(50)
PRODUCTION = {"DRSORCH_PUBLIC_URL": "https://dr.example.com", "DJANGO_SECRET_KEY": SECRET}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "DRSORCH_"))}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=kept | {"DJANGO_SETTINGS_MODULE": "drsorch_site.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_deploy_finds_nothing() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION, DRSORCH_TRUSTED_PROXY="true")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DJANGO_DEBUG", "true"),
        ("DJANGO_ALLOWED_HOSTS", "*"),
        ("DJANGO_ALLOWED_HOSTS", "other.example.com"),
        ("DJANGO_SECRET_KEY", "too-short-for-a-public-address-too-short"),
        ("DJANGO_SECRET_KEY", "short"),
        ("DRSORCH_PUBLIC_URL", "http://dr.example.com"),
        ("DRSORCH_THROTTLE_USER", "many"),
        ("LOG_FORMAT", "xml"),
        ("DRSORCH_METRICS_TOKEN", "short"),
        ("DRSORCH_MAIL", "mail.example.com"),
        ("DRSORCH_MAIL_FROM", "nobody"),
        ("DRSORCH_WEBHOOK_NETWORKS", "10.0.0.1/8"),
        ("DRSORCH_BUNDLE", "s3://"),
        ("DRSORCH_RUNBOOKS", "s3:///prefix"),
    ],
)
def test_an_unsafe_setting_stops_the_start_and_is_named(name: str, value: str) -> None:
    done = manage("check", **PRODUCTION | {name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert name in last, last
    assert SECRET not in done.stderr
    assert value not in last or name != "DJANGO_SECRET_KEY"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://", "s3:// names no bucket; use s3://BUCKET/PREFIX"),
        ("s3:///bundles", "s3:///bundles names no bucket"),
        ("s3://my bucket/x", "my bucket cannot be a bucket's name"),
        ("bundles", "use an absolute directory or s3://BUCKET/PREFIX"),
        ("S3://bucket", "use an absolute directory"),
        ("/", "use an absolute directory"),
    ],
)
def test_a_place_that_cannot_be_is_told_in_our_words(place: str, said: str) -> None:
    with pytest.raises(WrongSetting) as wrong:
        read_place("DRSORCH_BUNDLE", place)
    assert str(wrong.value).startswith('Environment variable "DRSORCH_BUNDLE" invalid: ')
    assert said in str(wrong.value)
    for good in ("", "/var/bundles", "s3://bucket", "s3://my.old_Bucket/a/b"):
        assert read_place("DRSORCH_BUNDLE", good) == good
    with pytest.raises(WrongSetting, match="DRSORCH_ARCHIVE"):
        read_archive(place, is_used=True)
    with pytest.raises(WrongSetting, match="with DRSORCH_RETENTION_DAYS it names"):
        read_archive("", is_used=True)
    assert read_archive(place, is_used=False) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dr.example.com",
        "ftp://dr.example.com",
        "https://",
        "https://u:p@x.example",
        "https://x.example/a",
        "https://x y",
    ],
)
def test_it_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(WrongSetting, match="DRSORCH_PUBLIC_URL"):
        read_address(url)


def test_plain_http_is_for_this_machine_or_meant() -> None:
    assert not read_address("http://127.0.0.1:8000").is_https
    assert not read_address("http://[::1]:8000/").is_https
    assert read_address("http://dr.example.com", may_be_plain=True).origin == "http://dr.example.com"
    assert read_address("https://DR.example.com:8443/").origin == "https://dr.example.com:8443"
    with pytest.raises(WrongSetting, match="plain http"):
        read_address("http://192.0.2.7")


def test_a_wildcard_of_our_own_domain_is_fine() -> None:
    address = read_address("https://dr.example.com")
    check_exposure(address, hosts=[".example.com"], debug=False, secret=SECRET)
    with pytest.raises(WrongSetting, match="DJANGO_DEBUG"):
        check_exposure(read_address("http://127.0.0.1"), hosts=["dr.example.com"], debug=True, secret=SECRET)


def test_the_password_of_the_database_may_stand_in_a_file(tmp_path: Path) -> None:
    """Whoever connects gets it, and no log shows it."""
    file = tmp_path / "password"
    file.write_text("p@ss w0rd/%\n")
    show = "from django.conf import settings as s; print(s.DATABASES['default']['PASSWORD'] in s.SECRETS, s.DATABASES)"
    address = "postgres://drsorch@db.example.com/drsorch"
    done = manage("shell", "-v0", "--command", show, **PRODUCTION, DATABASE_URL=address, PGPASSWORD_FILE=str(file))
    assert done.stdout.startswith("True "), done.stderr
    assert "'PASSWORD': 'p@ss w0rd/%'" in done.stdout
    urls = (address, address.replace("@", ":within@"), f"{address}?password=1234")
    given = [read_database(url, pooled=False, password="beside")["PASSWORD"] for url in urls]
    assert given == ["beside", "within", "1234"]


def test_only_what_botocore_sees_makes_a_simulator(tmp_path: Path) -> None:
    """It reads no file: launches would go to AWS, with times that are for a simulator."""
    file = tmp_path / "address"
    file.write_text("http://127.0.0.1:9")
    given = PRODUCTION | {"DRSORCH_LAUNCH_QUARANTINE_SECONDS": "60", "AWS_ENDPOINT_URL_DRS": ""}
    done = manage("check", **given, AWS_ENDPOINT_URL_DRS_FILE=str(file))
    assert done.returncode != 0
    assert "could launch twice on AWS" in done.stderr
