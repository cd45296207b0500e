"""Single templates on moto, and what the pages tell operators to do with them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import jmespath  # type: ignore[import-untyped]
import pytest
import yaml

from identity.provider.cognito import read_provider
from identity.provider.id_token import Verifier
from identity.provider.jwks import KeySet
from reports.archiving.archive_store import store
from tests.deploy.cloud import REGION, account, build, client
from tests.deploy.templates import Loader

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "deploy" / "cloudformation"
SIGN_IN = (ROOT / "docs" / "sign-in.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOMAIN = "dr.example.com"
ROBOT, TEMPORARY, PASSWORD = "robot@example.com", "Temporary-horse-1", "Correct-horse-1"

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"), pytest.mark.slow]


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, account(patch.setenv, patch.delenv) as address:
        patch.setenv("MOTO_COGNITO_IDP_USER_POOL_ENABLE_TOTP", "true")
        yield address


def sign_in_settings(name: str, **parameters: str) -> dict[str, str]:
    """A user pool with a script's account in it, and the settings that script/stack-environment prints of it."""
    made = build(name, TEMPLATES / "identity.yaml", ConsoleDomain=DOMAIN, SignInPrefix=name, **parameters)
    known = {"UserPoolId": made["UserPoolId"], "Username": ROBOT}
    cognito = client("cognito-idp")
    cognito.admin_create_user(**known, TemporaryPassword=TEMPORARY)
    cognito.admin_add_user_to_group(**known, GroupName="drsorch-operator")
    secret = client("secretsmanager").get_secret_value(SecretId=made["ClientSecretArn"])["SecretString"]
    return {
        "COGNITO_USER_POOL_ID": made["UserPoolId"],
        "COGNITO_CLIENT_ID": made["ClientId"],
        "COGNITO_CLIENT_SECRET": secret,
        "COGNITO_DOMAIN": made["SignInDomain"],
    }


def fetch_token(settings: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """What the page has somebody save as id_token.py."""
    [recipe] = re.findall(r"^   ```python\n(.*?)^   ```", SIGN_IN, flags=re.DOTALL | re.MULTILINE)
    env = os.environ | settings | {"API_USER": ROBOT, "API_PASSWORD": PASSWORD} | more
    command = [sys.executable, "-c", dedent(recipe)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def set_up_authenticator(pool: str) -> str:
    """As the sign-in pages have somebody do, who may see the key of it."""
    from moto.cognitoidp.models import COGNITO_TOTP_MFA_SECRET, cognitoidp_backends  # see `account`
    from moto.core.models import DEFAULT_ACCOUNT_ID

    cognitoidp_backends[DEFAULT_ACCOUNT_ID][REGION].admin_get_user(pool, ROBOT).token_verified = True
    preferred = {"Enabled": True, "PreferredMfa": True}
    client("cognito-idp").admin_set_user_mfa_preference(
        UserPoolId=pool, Username=ROBOT, SoftwareTokenMfaSettings=preferred
    )
    return COGNITO_TOTP_MFA_SECRET


def test_a_script_gets_a_token_that_the_api_takes(cloud: str) -> None:
    settings = sign_in_settings("scripts", ScriptSignIn="true")
    pool = settings["COGNITO_USER_POOL_ID"]
    known = dict.fromkeys(f"COGNITO_{each}" for each in ("ISSUER", "AUTHORIZE_URL", "TOKEN_URL", "LOGOUT_URL"))
    keys = f"{cloud}/{pool}/.well-known/jwks.json"
    more = ("COGNITO_REVOKE_URL", "COGNITO_CLI_CLIENT_ID", "COGNITO_REGION")
    given = dict.fromkeys((*known, *more), "") | {"COGNITO_JWKS_URL": keys}
    provider = read_provider(given | settings, {}, is_test=True)
    verifier = Verifier(provider, KeySet(keys, accept_known_keys=True))

    assert "asks for NEW_PASSWORD_REQUIRED" in fetch_token(settings, API_PASSWORD=TEMPORARY).stderr
    client("cognito-idp").admin_set_user_password(UserPoolId=pool, Username=ROBOT, Password=PASSWORD, Permanent=True)
    without = verifier.verify(fetch_token(settings).stdout.strip())
    assert without.groups == ("drsorch-operator",)

    key = set_up_authenticator(pool)
    spelled = f"{key[:4].upper()} {key[4:]}"  # in groups, as some apps show it
    claims = verifier.verify(fetch_token(settings, API_AUTHENTICATOR_KEY=spelled).stdout.strip())
    assert claims.subject == without.subject
    assert "CodeMismatch" in fetch_token(settings, API_AUTHENTICATOR_KEY="B" * 12).stderr


def test_a_script_gets_no_token_unless_the_stack_says_so(cloud: str) -> None:
    assert "Auth flow not enabled" in fetch_token(sign_in_settings("people-only")).stderr


def test_the_console_moves_to_the_balancer_of_another_stack(cloud: str) -> None:
    """With the record that a lost stack made, and the commands of the page."""
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    network = build("network", TEMPLATES / "network.yaml")
    known = {
        "CertificateArn": client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"],
        "ConsoleDomain": DOMAIN,
        "DeletionProtection": "false",
        "SecurityGroup": network["BalancerGroup"],
        "Subnets": network["PublicSubnets"],
        "VpcId": network["VpcId"],
    }
    build("lost", TEMPLATES / "balancer.yaml", HostedZoneId=zone.rpartition("/")[2], **known)
    found = build("found", TEMPLATES / "balancer.yaml", **known)["DnsName"]

    [query] = re.findall(r'describe-load-balancers --query "(.*?)"', OPERATIONS)
    balancers = client("elbv2").describe_load_balancers()
    [zone_of_balancer] = jmespath.search(query.replace("BALANCER", found), balancers)
    [change] = re.findall(r"change-resource-record-sets .*?--change-batch '(.*?)'", OPERATIONS, flags=re.DOTALL)
    change = change.replace("ZONE_OF_BALANCER", zone_of_balancer).replace("BALANCER", found)
    client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=json.loads(change))

    records = client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    [record] = [each for each in records if each["Name"] == f"{DOMAIN}."]
    assert record["AliasTarget"]["DNSName"].rstrip(".") == found


def read(template: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((TEMPLATES / template).read_text(), Loader)
    return found


def test_what_the_root_is_told_reaches_each_part_that_asks_for_it() -> None:
    root = read("root.yaml")
    for name, each in root["Resources"].items():
        if each["Type"] != "AWS::CloudFormation::Stack":
            continue
        passed = each["Properties"]["Parameters"].keys()
        taken = read(each["Properties"]["TemplateURL"].rpartition("/")[2])["Parameters"].keys()
        assert taken & root["Parameters"].keys() <= passed <= taken, name


def test_a_web_acl_stands_in_front_of_the_balancer_where_one_is_named() -> None:
    balancer = read("balancer.yaml")
    wall = balancer["Resources"]["Wall"]
    assert (wall["Type"], wall["Condition"]) == ("AWS::WAFv2::WebACLAssociation", "HasWebAcl")
    assert wall["Properties"] == {"ResourceArn": "Balancer", "WebACLArn": "WebAclArn"}
    assert read("root.yaml")["Parameters"]["WebAclArn"]["Default"] == ""


def test_the_processes_reach_https_and_the_database_and_nothing_else() -> None:
    out = read("network.yaml")["Resources"]["ProcessGroup"]["Properties"]["SecurityGroupEgress"]
    assert [(each["FromPort"], each["ToPort"]) for each in out] == [(443, 443), (5432, 5432)]


def test_no_update_takes_away_what_a_deletion_of_the_stack_keeps() -> None:
    kept = set()
    for path in TEMPLATES.glob("*.yaml"):
        for name, each in read(path.name)["Resources"].items():
            if each.get("DeletionPolicy", "Delete") != "Delete":
                assert each["UpdateReplacePolicy"] == "Retain", f"{path.name}: {name}"
                kept.add(name)
    assert kept >= {"Instance", "Password", "Pool", "SecretKey", "WebLog", "EngineLog"}


def test_the_archive_keeps_what_engines_write_and_lets_them_write_nothing_else(cloud: str) -> None:
    iam = client("iam")
    iam.create_role(RoleName="engine", AssumeRolePolicyDocument="{}")
    made = build("archive", TEMPLATES / "archive.yaml", EngineRoleName="engine", ArchiveLockDays="30")
    bucket = made["Archive"].removeprefix("s3://").partition("/")[0]
    assert store(made["Archive"], "run.zip", b"pack") == f"s3://{bucket}/evidence/run.zip"
    lock = read("archive.yaml")["Resources"]["Bucket"]["Properties"]["ObjectLockConfiguration"]  # moto makes none
    assert lock["Rule"]["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": "ArchiveLockDays"}
    [attached] = iam.list_attached_role_policies(RoleName="engine")["AttachedPolicies"]
    known = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
    policy = iam.get_policy_version(PolicyArn=known["Arn"], VersionId=known["DefaultVersionId"])["PolicyVersion"]
    [statement] = policy["Document"]["Statement"]
    assert statement["Action"] == ["s3:PutObject", "s3:GetObject"]  # the second is what HeadObject needs
    assert statement["Resource"] == f"arn:aws:s3:::{bucket}/evidence/*"


def test_the_root_makes_an_archive_only_where_runs_are_to_go() -> None:
    root = read("root.yaml")
    assert (root["Parameters"]["RetentionDays"]["Default"], root["Resources"]["Archive"]["Condition"]) == (
        0,
        "Archives",
    )
    for task in ("WebTask", "EngineTask"):
        [container] = read("services.yaml")["Resources"][task]["Properties"]["ContainerDefinitions"]
        told = {each["Name"]: each["Value"] for each in container["Environment"]}
        assert (told["DRSORCH_ARCHIVE"], told["DRSORCH_RETENTION_DAYS"]) == ("Archive", "RetentionDays"), task
        assert (told["DRSORCH_BUNDLE"], told["DRSORCH_RUNBOOKS"]) == ("BundlePlace", "RunbookPlace"), task


@pytest.mark.parametrize("place", ["s3://elsewhere/drsorch/bundles", "s3://elsewhere"])
def test_engines_may_write_to_the_places_outside_of_the_stack_and_nowhere_else(
    cloud: str, tmp_path: Path, place: str
) -> None:
    text = (TEMPLATES / "root.yaml").read_text()
    ours = text[text.index("  KeepBundle:\n") : text.index("  Balancer:\n")]
    allowed = re.findall(r"AllowedPattern: (\(s3://.*)", text)
    assert len(allowed) == 2
    assert all(re.fullmatch(each, place) and re.fullmatch(each, "") for each in allowed)
    assert not any(re.fullmatch(each, f"{place}/*") for each in allowed)
    role = '  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17"}}}'
    conditions = '  Bundles: !Not [!Equals [!Ref BundlePlace, ""]]\n  Runbooks: !Not [!Equals [!Ref RunbookPlace, ""]]'
    alone = tmp_path / "outside.yaml"
    alone.write_text(
        "Parameters: {BundlePlace: {Type: String}, RunbookPlace: {Type: String}}\n"
        f"Conditions:\n{conditions}\nResources:\n{role}\n"
        + ours.replace("Roles.Outputs.EngineRole", "Role.Arn")
        + "Outputs: {Role: {Value: !Ref Role}}\n"
    )
    assert conditions in text
    role = build(f"outside-{len(place)}", alone, BundlePlace=place, RunbookPlace="")["Role"]
    assert client("iam").list_role_policies(RoleName=role)["PolicyNames"] == ["bundles"]
    policy = client("iam").get_role_policy(RoleName=role, PolicyName="bundles")["PolicyDocument"]
    [statement] = policy["Statement"]
    assert statement["Action"] == ["s3:PutObject", "s3:GetObject"]
    assert statement["Resource"] == f"arn:aws:s3:::{place.removeprefix('s3://')}/*"
