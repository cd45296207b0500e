"""The CloudFormation stacks: packaged, made and deleted on moto, and the settings read from their outputs."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from deploy import stacks
from drsorch_cli.oidc.browser import PORTS
from identity.roles import ROLES
from tests.deploy.cloud import MADE, OF_SNAPSHOT_GIB, REGION, account, build, client

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "deploy" / "cloudformation"
STACK = "drsorch"
DOMAIN = "dr.example.com"
NESTED = {"Network", "Database", "Identity", "Roles", "Balancer", "Services", "Alarms"}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")]


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, account(patch.setenv, patch.delenv) as address:
        yield address


def script(*arguments: str) -> str:
    """Output of deploy/stacks.py, as script/package and script/stack-environment call it."""
    command = [sys.executable, "deploy/stacks.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def statuses() -> dict[str, str]:
    """The status of every stack that ever was, nested ones included, by name."""
    pages = client("cloudformation").get_paginator("list_stacks").paginate()
    return {each["StackName"]: each["StackStatus"] for page in pages for each in page["StackSummaries"]}


@pytest.fixture(scope="module")
def bucket(cloud: str) -> str:
    found = build("drsorch-artifacts", TEMPLATES / "artifacts.yaml")
    assert found["ImageRepository"].endswith("/drsorch")
    return found["BucketName"]


@pytest.fixture(scope="module")
def overrides(bucket: str) -> dict[str, str]:
    """The parameters of the command that script/package prints, with the reader's part filled in."""
    command = script("package", "--bucket", bucket, "--region", REGION)
    assert f"aws cloudformation deploy --stack-name {STACK} --region {REGION} " in command
    words = command.partition("\n#")[0].replace("\\\n", " ").split()
    given = dict(word.split("=", 1) for word in words if "=" in word)
    certificate = client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]
    return given | {"CertificateArn": certificate, "SignInPrefix": "drsorch-test", "Image": "registry/drsorch:1"}


@pytest.fixture(scope="module")
def root(overrides: dict[str, str]) -> dict[str, str]:
    """The whole installation; its outputs."""
    return build(STACK, TEMPLATES / "root.yaml", **overrides)


def test_the_same_templates_are_uploaded_under_the_same_name(bucket: str, overrides: dict[str, str]) -> None:
    again = script("package", "--bucket", bucket, "--stack", "another one")
    assert overrides["TemplatePrefix"] in again
    assert "--region" not in again  # whoever names none here has it in the environment
    assert "--stack-name 'another one'" in again
    keys = [each["Key"] for each in client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    expected = {path.name for path in TEMPLATES.iterdir()} - {*stacks.ALONE}
    assert sorted(keys) == sorted(f"{overrides['TemplatePrefix']}/{name}" for name in expected)


def test_the_whole_installation_is_made(root: dict[str, str]) -> None:
    assert {name.split("-")[1] for name in statuses() if name.startswith(f"{STACK}-")} >= NESTED
    [database] = client("rds").describe_db_instances()["DBInstances"]
    assert database["MultiAZ"]
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    subnets = client("ec2").describe_subnets()["Subnets"]
    zones = {each["AvailabilityZone"] for each in subnets if each["CidrBlock"].startswith("10.64.")}
    assert len(zones) == 2
    groups = client("cognito-idp").list_groups(UserPoolId=root["UserPoolId"])["Groups"]
    assert {each["GroupName"] for each in groups} == {f"drsorch-{role}" for role in ROLES}
    alarms = {each["MetricName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert alarms >= {"EngineHeartbeatAge", "ExecutionsFailed", "PauseWaiting", "PollLag"}


def test_the_figures_of_two_installations_do_not_mix(root: dict[str, str]) -> None:
    """An alarm names the dimensions exactly that the processes put beside their figures."""
    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    of_figures = [each for each in alarms if each["Namespace"] == "DRSOrchestration"]
    assert all([dimension["Name"] for dimension in each["Dimensions"]] == ["Installation"] for each in of_figures)
    ours = {each["MetricName"] for each in of_figures if each["Dimensions"][0]["Value"] == STACK}
    assert ours == {
        "EngineHeartbeatAge",
        "Superseded",
        "ExecutionsFailed",
        "ExecutionsStalled",
        "PauseWaiting",
        "PollLag",
    }
    for service in ("WebService", "EngineService"):
        [container] = task(root, service)["containerDefinitions"]
        given = {each["name"]: each["value"] for each in container["environment"]}
        assert given["DRSORCH_INSTALLATION"] == STACK
        assert given["DRSORCH_DELETION_PROTECTION"] == "false"
        assert "EngineRole" in given["DRSORCH_ENGINE_ROLE"]
        assert "sslmode=verify-full&sslrootcert=" in given["DATABASE_URL"]


def test_the_balancer_keeps_access_logs_in_a_bucket_that_lets_it(root: dict[str, str]) -> None:
    """moto makes the bucket; what a balancer's attributes say it passes over, so they are read in the template."""
    [nested] = [name for name in statuses() if name.startswith(f"{STACK}-Balancer")]
    resources = client("cloudformation").list_stack_resources(StackName=nested)["StackResourceSummaries"]
    made = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
    assert client("s3").head_bucket(Bucket=made["AccessLogs"])
    assert "AccessLogsPolicy" in made
    assert "Wall" not in made
    template = (TEMPLATES / "balancer.yaml").read_text()
    assert 'access_logs.s3.enabled, Value: !If [KeepsLogs, "true", "false"]' in template
    assert "access_logs.s3.bucket, Value: !Select [0, [!Ref AccessLogs, !Ref AccessLogsPolicy]]" in template


def test_nobody_is_woken_by_the_silence_of_engines_that_are_not_there(cloud: str) -> None:
    given = {"BalancerName": "app/x", "TargetGroupName": "targetgroup/x", "DatabaseId": "x", "Installation": "none"}
    build("no-engines", TEMPLATES / "alarms.yaml", EngineCount="0", **given)
    made = {
        each["MetricName"]
        for each in client("cloudwatch").describe_alarms()["MetricAlarms"]
        if {"Name": "Installation", "Value": "none"} in each["Dimensions"]
    }
    assert made == {"ExecutionsFailed", "ExecutionsStalled", "PauseWaiting", "PollLag", "Superseded"}
    root = (TEMPLATES / "root.yaml").read_text()
    assert re.search(r"  Alarms:\n    Type: AWS::CloudFormation::Stack\n    DependsOn: Services", root)
    client("cloudformation").delete_stack(StackName="no-engines")


def test_the_image_is_built_for_the_tasks_processor(bucket: str, overrides: dict[str, str]) -> None:
    first = script("package", "--bucket", bucket, "--stack", "new")
    assert "docker build --platform linux/amd64 " in first
    assert "Architecture=" not in first.partition("\n#")[0]
    arm = script("package", "--bucket", bucket, "--stack", "new", "--architecture", "ARM64")
    assert "Architecture=ARM64" in arm.partition("\n#")[0]
    assert "docker build --platform linux/arm64 " in arm


def test_tokens_are_refused_with_the_reason() -> None:
    with pytest.raises(stacks.Trouble, match=r"user pool.*ScriptSignIn"):
        stacks.run(STACK, REGION, ["api_token", "--user", "me"])


def task(root: dict[str, str], service: str) -> dict[str, Any]:
    """The task definition that a service runs."""
    [found] = client("ecs").describe_services(cluster=root["Cluster"], services=[root[service]])["services"]
    described = client("ecs").describe_task_definition(taskDefinition=found["taskDefinition"])
    definition: dict[str, Any] = described["taskDefinition"]
    return definition


@pytest.mark.parametrize(("service", "container"), [("WebService", "web"), ("EngineService", "engine")])
def test_a_process_starts_with_what_its_task_gives_it(root: dict[str, str], service: str, container: str) -> None:
    definition = task(root, service)
    [described] = definition["containerDefinitions"]
    assert described["name"] == container
    assert described["readonlyRootFilesystem"]
    assert described["user"] == "10001:10001"
    settings = {each["name"]: each["value"] for each in described["environment"]}
    for each in described["secrets"]:
        arn, _, key = each["valueFrom"].partition(":password")
        text = client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        settings[each["name"]] = json.loads(text)["password"] if key else text
    assert not {"DJANGO_SECRET_KEY", "PGPASSWORD", "COGNITO_CLIENT_SECRET"} & {
        n["name"] for n in described["environment"]
    }
    done = check(settings | {"DJANGO_SETTINGS_MODULE": "drsorch_site.settings"})
    assert done.returncode == 0, done.stderr


def check(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Whether the product starts with these settings and nothing else of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"(AWS|COGNITO|DJANGO|DRSORCH|DATABASE)_", name)
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, cwd=ROOT, env=kept | settings, capture_output=True, text=True, check=False)


def test_the_settings_of_cognito_come_from_the_outputs(root: dict[str, str]) -> None:
    lines = script("environment", "--stack", STACK, "--region", REGION, "--with-secret").splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    assert settings["COGNITO_USER_POOL_ID"] == root["UserPoolId"]
    assert settings["COGNITO_DOMAIN"] == f"drsorch-test.auth.{REGION}.amazoncognito.com"
    described = client("cognito-idp").describe_user_pool_client(
        UserPoolId=root["UserPoolId"], ClientId=settings["COGNITO_CLIENT_ID"]
    )["UserPoolClient"]
    assert settings["COGNITO_CLIENT_SECRET"] == described["ClientSecret"]
    assert described["CallbackURLs"] == [f"{settings['DRSORCH_PUBLIC_URL']}/oidc/callback"]
    assert described["LogoutURLs"] == [f"{settings['DRSORCH_PUBLIC_URL']}/signed-out"]
    assert described["EnableTokenRevocation"]
    assert "ALLOW_REFRESH_TOKEN_AUTH" in described["ExplicitAuthFlows"]  # a session is renewed with it
    public = client("cognito-idp").describe_user_pool_client(
        UserPoolId=root["UserPoolId"], ClientId=settings["COGNITO_CLI_CLIENT_ID"]
    )["UserPoolClient"]
    assert public["CallbackURLs"] == [f"http://localhost:{port}/callback" for port in PORTS]
    assert "ClientSecret" not in public
    key = secrets.token_urlsafe(50)
    done = check(settings | {"DJANGO_SECRET_KEY": key, "DRSORCH_TRUSTED_PROXY": "true"})
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in script("environment", "--stack", STACK, "--region", REGION)


def test_a_command_runs_in_a_task_of_its_own(root: dict[str, str]) -> None:
    assert script("run", "--stack", STACK, "--region", REGION, "audit_verify", "--head", "7:abc") == ""
    tasks = client("ecs").list_tasks(cluster=root["Cluster"])["taskArns"]
    started = client("ecs").describe_tasks(cluster=root["Cluster"], tasks=tasks)["tasks"]
    overrides = [each["overrides"]["containerOverrides"] for each in started if each.get("overrides")]
    command = ["python", "manage.py", "audit_verify", "--head", "7:abc"]
    assert overrides == [[{"name": "engine", "command": command}]]
    assert {each["taskDefinitionArn"] for each in started} >= {root["EngineTask"]}


@pytest.mark.parametrize("words", [["backup", "/tmp/x"], ["restore", "/tmp/x"]])
def test_a_file_that_would_vanish_with_its_task_is_refused(words: list[str]) -> None:
    with pytest.raises(stacks.Trouble, match="snapshot"):
        stacks.run(STACK, REGION, words)
    stacks.check_command(["restore", "--in-place"])


def test_only_the_first_deployment_can_be_taken_back(
    root: dict[str, str], overrides: dict[str, str], bucket: str
) -> None:
    assert overrides["DeletionProtection"] == "false"
    again = script("package", "--bucket", bucket, "--stack", STACK, "--region", REGION)
    assert "Image=" in again
    assert "DeletionProtection" not in again  # what is not said stays as it is


def test_an_installation_goes_on_elsewhere_with_its_own_key(overrides: dict[str, str]) -> None:
    """Disaster recovery: from a snapshot, with the key of the lost installation, and reached from within."""
    keep = {
        name: client("secretsmanager").create_secret(Name=name, SecretString=secrets.token_urlsafe(50))["ARN"]
        for name in ("key", "older-key", "metrics-token")
    }
    found = build(
        "elsewhere",
        TEMPLATES / "root.yaml",
        **overrides | {"SignInPrefix": "elsewhere", "Scheme": "internal", "AllowedCidr": "10.0.0.0/8", "Mfa": "OFF"},
        SnapshotId="last", SecretKeyArn=keep["key"], OldSecretKeyArn=keep["older-key"],
        MetricsTokenArn=keep["metrics-token"], PollSeconds="30", RoleGroups="Ops=operator", BackupRegion="us-west-2",
        BackupKeyArn="arn:aws:kms:us-west-2:123456789012:key/x",
    )  # fmt: skip
    assert found["SecretKeyArn"] == keep["key"]
    [database] = client("rds").describe_db_instances(DBInstanceIdentifier=found["DatabaseId"])["DBInstances"]
    assert database["AllocatedStorage"] == OF_SNAPSHOT_GIB
    given = {}
    for service in ("WebService", "EngineService"):
        [container] = task(found, service)["containerDefinitions"]
        given[service] = {each["name"]: each.get("value") or each["valueFrom"] for each in environment_of(container)}
        assert given[service]["DJANGO_SECRET_KEY"] == keep["key"]
        assert given[service]["DJANGO_SECRET_KEY_FALLBACKS"] == keep["older-key"]
        assert given[service]["DRSORCH_POLL_SECONDS"] == "30"
    assert given["WebService"]["DRSORCH_METRICS_TOKEN"] == keep["metrics-token"]
    assert "DRSORCH_METRICS_TOKEN" not in given["EngineService"]
    [balancer] = [
        each for each in client("elbv2").describe_load_balancers()["LoadBalancers"] if each["Scheme"] == "internal"
    ]
    [group] = client("ec2").describe_security_groups(GroupIds=balancer["SecurityGroups"])["SecurityGroups"]
    assert {each["CidrIp"] for rule in group["IpPermissions"] for each in rule["IpRanges"]} == {"10.0.0.0/8"}
    client("cloudformation").delete_stack(StackName="elsewhere")


def environment_of(container: dict[str, Any]) -> list[dict[str, str]]:
    """Settings and secrets of a container; an empty one says nothing."""
    found: list[dict[str, str]] = [each for each in container["environment"] if each["value"]]
    return found + list(container["secrets"])


def test_another_stack_is_refused_in_one_sentence(bucket: str) -> None:
    for name, reason in (("drsorch-artifacts", "is it the root stack"), ("nothing", "does not exist")):
        command = [sys.executable, "deploy/stacks.py", "environment", "--stack", name, "--region", REGION]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1
        assert reason in done.stderr


def test_everything_goes_again(overrides: dict[str, str]) -> None:
    before = set(MADE)
    build(
        "short-lived",
        TEMPLATES / "root.yaml",
        **overrides | {"SignInPrefix": "short"},
        Zones="3",
    )
    assert len(client("rds").describe_db_instances()["DBInstances"]) >= 1
    client("cloudformation").delete_stack(StackName="short-lived")
    gone = {name.split("-")[2]: status for name, status in statuses().items() if name.startswith("short-lived-")}
    assert gone == dict.fromkeys(NESTED, "DELETE_COMPLETE")
    with pytest.raises(ClientError, match="does not exist"):
        stacks.outputs("short-lived", REGION)
    # What people signed in with, and the password of the database's last snapshot, outlive the stack.
    kept = {kind for kind, _ in set(MADE) - before}
    assert kept == {"AWS::Cognito::UserPool", "AWS::SecretsManager::Secret"}


def policies_of(stack: str) -> dict[str, Any]:
    """The statements of the managed policies that a stack made, by the policy's name in the template."""
    found = {}
    for each in client("cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]:
        if each["ResourceType"] == "AWS::IAM::ManagedPolicy":
            arn = each["PhysicalResourceId"]
            version = client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
            found[each["LogicalResourceId"]] = version["Document"]["Statement"]
    return found


def test_the_roles_have_the_statements_of_deploy_iam(cloud: str) -> None:
    """What IAM was given, compared with the files: moto's account is the one that they name as an example."""
    template = TEMPLATES / "iam.json"
    assert json.loads(template.read_text()) == stacks.iam_template(), "run script/package --iam"
    build("roles", template, DrsRegions=",".join(stacks.REGIONS), KmsKeyArns=stacks.KEY[0], **switches("true"))
    files = {path.stem: json.loads(path.read_text())["Statement"] for path in stacks.POLICIES.glob("*.json")}
    for name in stacks.INLINE:  # inside the roles, below
        del files[name]
    assert policies_of("roles") == {f"{stacks.logical(name)}Policy": statements for name, statements in files.items()}
    resources = json.loads(template.read_text())["Resources"]
    for process, policies in stacks.ROLES.items():
        attached = json.dumps(resources[f"{process}Role"]["Properties"]["ManagedPolicyArns"])
        assert set(re.findall(r'"(\w+)Policy"', attached)) == {
            stacks.logical(name) for name in policies if name not in stacks.INLINE
        }


def switches(value: str) -> dict[str, str]:
    return dict.fromkeys(stacks.SWITCHES.values(), value)


def role_of(stack: str, process: str) -> str:
    """The name of a role that a stack made."""
    resources = client("cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]
    [found] = [each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == f"{process}Role"]
    return str(found)


def test_each_role_may_ask_what_both_may_do(cloud: str) -> None:
    build("asking-roles", TEMPLATES / "iam.json", DrsRegions="eu-west-1", **switches("true"))
    roles = {process: role_of("asking-roles", process) for process in stacks.ROLES}
    arns = sorted(client("iam").get_role(RoleName=name)["Role"]["Arn"] for name in roles.values())
    for name in roles.values():
        document = client("iam").get_role_policy(RoleName=name, PolicyName="check")["PolicyDocument"]
        [asking] = [each for each in document["Statement"] if each["Sid"] == "AskAboutOurRoles"]
        assert sorted(asking["Resource"]) == arns


def test_a_target_account_s_role_trusts_our_roles_with_an_external_id_and_may_what_an_engine_may(cloud: str) -> None:
    template = TEMPLATES / stacks.TARGET
    assert yaml.safe_load(template.read_text()) == stacks.target_template(), "run script/package --iam"
    ours = [f"arn:aws:iam::111122223333:role/{name}" for name in ("engine", "web")]
    on = {name: value for name, value in switches("true").items() if name not in ("OtherAccounts", "WithQueue")}
    asked = {"HomeAccount": "111122223333", "TrustedRoles": ",".join(ours), "ExternalId": "an-external-id"}
    made = build("target", template, DrsRegions="eu-west-1", KmsKeyArns=stacks.KEY[0], **asked, **on)
    role = client("iam").get_role(RoleName="drsorch-target")["Role"]
    assert made["RoleArn"] == role["Arn"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert trust["Condition"] == {
        "StringEquals": {"sts:ExternalId": "an-external-id"},
        "ArnEquals": {"aws:PrincipalArn": ours},
    }
    attached = client("iam").list_attached_role_policies(RoleName="drsorch-target")["AttachedPolicies"]
    assert len(attached) == 8
    [entering] = json.loads((stacks.POLICIES / "accounts.json").read_text())["Statement"]
    assert entering["Resource"] == ["arn:aws:iam::*:role/drsorch-target"]
    assert role["Arn"].endswith(":role/drsorch-target")


def test_what_a_site_does_not_use_can_be_withheld(cloud: str) -> None:
    build("few-roles", TEMPLATES / "iam.json", DrsRegions="eu-west-1", **switches("false"))
    found = policies_of("few-roles")
    assert set(found) == {"WebPolicy", "EnginePolicy", "TemplatesPolicy", "NotifyPolicy"}
    assert found["WebPolicy"][0]["Condition"]["StringEquals"]["aws:RequestedRegion"] == ["eu-west-1"]
    for process in stacks.ROLES:
        assert client("iam").list_role_policies(RoleName=role_of("few-roles", process))["PolicyNames"] == []
