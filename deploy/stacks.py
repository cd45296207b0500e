"""`script/package` and `script/stack-environment`: hand templates to CloudFormation, read settings from its outputs."""

import argparse
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "cloudformation"
POLICIES = HERE / "iam"
TARGET = "target-account.yaml"
ALONE = ("root.yaml", "artifacts.yaml", TARGET)
MADE = "# Made of deploy/iam by script/package --iam: what is changed here is lost.\n"

# The policies of each process, and the parameter that must be "true" for one of them (for `keys`: not empty).
OPTIONS = ("launch-actions", "existing-instances", "flexible-types", "dedicated-hosts", "keys")
CORE = ("engine", "templates", "terminate")
ROLES = {
    "Web": ("web", "terminate", "queue", "accounts", "check", "native-plans"),
    "Engine": (*CORE, *OPTIONS, "notify", "queue", "accounts", "check", "native-plans", "takeover"),
}
# Put into the roles, which take ten attached policies at the most; `check` names them, so it cannot be there before.
INLINE = ("accounts", "check", "native-plans", "takeover")
SWITCHES = {
    "accounts": "OtherAccounts",
    "terminate": "AllowTermination",
    "queue": "WithQueue",
    "check": "CheckRights",
    "native-plans": "NativePlans",
    "takeover": "Takeover",
    "launch-actions": "LaunchActions",
    "existing-instances": "ExistingInstances",
    "flexible-types": "FlexibleTypes",
    "dedicated-hosts": "DedicatedHosts",
}
KEYS = "KmsKeyArns"
CONDITIONS = {**SWITCHES, "keys": KEYS}
# As written in deploy/iam, for people to replace.
ACCOUNT, REGIONS = "123456789012", ["us-east-1", "us-west-2"]
KEY = [f"arn:aws:kms:us-west-2:{ACCOUNT}:key/KEY"]
TASK_ROLES = [f"arn:aws:iam::{ACCOUNT}:role/drsorch-engine", f"arn:aws:iam::{ACCOUNT}:role/drsorch-web"]

PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}  # by the stack's Architecture, as Docker says it

# Settings of the web processes, and the output of the root stack that holds each.
OUTPUTS = {
    "DRSORCH_PUBLIC_URL": "ConsoleUrl",
    "DJANGO_ALLOWED_HOSTS": "ConsoleDomain",
    "COGNITO_REGION": "Region",
    "COGNITO_USER_POOL_ID": "UserPoolId",
    "COGNITO_CLIENT_ID": "ClientId",
    "COGNITO_CLI_CLIENT_ID": "CliClientId",
    "COGNITO_DOMAIN": "SignInDomain",
}


class Trouble(Exception):
    """One sentence for whoever called the script."""


def iam_template() -> dict[str, Any]:
    """The template of the task roles: the statements of deploy/iam, with the account and the regions filled in."""
    names = sorted({name for policies in ROLES.values() for name in policies})
    resources: dict[str, Any] = {f"{logical(name)}Policy": _policy(name) for name in names}
    resources |= {f"{process}Role": _task_role(policies) for process, policies in ROLES.items()}
    switches = sorted(SWITCHES.values())
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "DRS Orchestration: what web and engine may do. Made of deploy/iam by script/package --iam.",
        "Parameters": {
            "DrsRegions": {
                "Type": "CommaDelimitedList",
                "Description": "The regions that servers are recovered in and to; reading is limited to them.",
            },
            KEYS: {
                "Type": "CommaDelimitedList",
                "Default": "",
                "Description": "Keys of yours that encrypt the volumes (deploy/iam/keys.json); empty for none.",
            },
            **{switch: _switch(name) for name, switch in sorted(SWITCHES.items())},
        },
        "Conditions": {
            **{switch: {"Fn::Equals": [{"Ref": switch}, "true"]} for switch in switches},
            KEYS: {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": [",", {"Ref": KEYS}]}, ""]}]},
        },
        "Resources": resources,
        "Outputs": {f"{process}Role": {"Value": {"Fn::GetAtt": [f"{process}Role", "Arn"]}} for process in ROLES},
    }


def target_template() -> dict[str, Any]:
    """The template of the role by which a target account is entered: deploy/target-role.yaml, with what engines and
    web processes may do there."""
    made, names = iam_template(), ("engine", "templates", "terminate", *OPTIONS, *INLINE[1:])
    whole: dict[str, Any] = yaml.safe_load((HERE / "target-role.yaml").read_text())
    left_out = {CONDITIONS[name] for name in CONDITIONS if name not in names}
    whole["Conditions"] = {name: value for name, value in made["Conditions"].items() if name not in left_out}
    for name, value in made["Parameters"].items():
        if name not in left_out:
            whole["Parameters"][name] = {**value, "Default": "true"} if "AllowedValues" in value else value
    policies = {f"{logical(name)}Policy": _policy(name) for name in names}
    for name in set(names).intersection(INLINE):
        policies[f"{logical(name)}Policy"]["Properties"]["Roles"] = [{"Ref": "Role"}]
    check = policies["CheckPolicy"]["Properties"]
    check["PolicyDocument"]["Statement"][0]["Resource"] = [{"Fn::GetAtt": ["Role", "Arn"]}]
    whole["Resources"] |= policies
    whole["Resources"]["Role"]["Properties"]["ManagedPolicyArns"] = _attached(names)
    return whole


def logical(name: str) -> str:
    """What a policy is called in the template."""
    return name.title().replace("-", "")


def _switch(name: str) -> dict[str, Any]:
    allowed = ["true", "false"]
    return {
        "Type": "String",
        "AllowedValues": allowed,
        "Description": f"Whether deploy/iam/{name}.json applies.",
    }


def _policy(name: str) -> dict[str, Any]:
    document = _filled_in(json.loads((POLICIES / f"{name}.json").read_text()))
    resource: dict[str, Any] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    if name in INLINE:
        roles = [{"Ref": f"{process}Role"} for process, policies in ROLES.items() if name in policies]
        properties = {"PolicyName": name, "PolicyDocument": document, "Roles": roles}
        resource = {"Type": "AWS::IAM::Policy", "Properties": properties}
    return {"Condition": CONDITIONS[name], **resource} if name in CONDITIONS else resource


def _attached(policies: tuple[str, ...]) -> list[dict[str, Any]]:
    attached: list[dict[str, Any]] = []
    for name in policies:
        if name not in INLINE:
            policy = {"Ref": f"{logical(name)}Policy"}
            switched = {"Fn::If": [CONDITIONS.get(name), policy, {"Ref": "AWS::NoValue"}]}
            attached.append(switched if name in CONDITIONS else policy)
    return attached


def _task_role(policies: tuple[str, ...]) -> dict[str, Any]:
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "ManagedPolicyArns": _attached(policies),
        },
    }


def _filled_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(each) for key, each in value.items()}
    if value == REGIONS:
        return {"Ref": "DrsRegions"}
    if value == KEY:
        return {"Ref": KEYS}
    if value == TASK_ROLES:
        return [{"Fn::GetAtt": [f"{process}Role", "Arn"]} for process in ("Engine", "Web")]
    if isinstance(value, list):
        return [_filled_in(each) for each in value]
    if isinstance(value, str) and value.startswith("arn:aws:"):
        text = value.replace("arn:aws:", "arn:${AWS::Partition}:", 1).replace(ACCOUNT, "${AWS::AccountId}")
        return {"Fn::Sub": text}
    return value


def nested_templates() -> Iterator[Path]:
    """What the root stack includes: every template but itself and those that stand alone."""
    yield from (path for path in sorted(TEMPLATES.iterdir()) if path.name not in ALONE)


def package(bucket: str, region: str | None) -> str:
    """Upload the nested templates under a prefix made of their content, and return it: what a stack runs on is never
    overwritten. Raises ClientError."""
    files = {path.name: path.read_bytes() for path in nested_templates()}
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + body for name, body in sorted(files.items()))).hexdigest()
    prefix = f"templates/{digest[:16]}"
    store = boto3.client("s3", region_name=region)
    for name, body in files.items():
        store.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=body)
    return prefix


def parameters(stack: str, region: str | None) -> dict[str, str] | None:
    """What a stack was deployed with; None for one that was never made. Raises ClientError."""
    try:
        [found] = boto3.client("cloudformation", region_name=region).describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}


def build_command(architecture: str) -> str:
    """What builds the image for the tasks of a stack, whatever the machine that builds it is."""
    return f"docker build --platform {PLATFORMS[architecture]} --tag REPOSITORY:TAG ."


def deploy_command(
    bucket: str, prefix: str, stack: str, region: str | None, *, first: bool, architecture: str = ""
) -> str:
    """The command that makes the stack, or updates it: then what is not said stays as it is. What is in capitals is for
    the reader to fill in. `architecture` where it is not the one that the stack has already."""
    begin = f"aws cloudformation deploy --stack-name {shlex.quote(stack)}"
    if region:
        begin += f" --region {shlex.quote(region)}"
    values = [f"TemplateBucket={shlex.quote(bucket)} TemplatePrefix={prefix}", "Image=REPOSITORY:TAG"]
    if architecture:
        values.append(f"Architecture={architecture}")
    if first:
        values += [
            "ConsoleDomain=dr.example.com CertificateArn=ARN SignInPrefix=NAME",
            "DrsRegions=us-east-1,us-west-2 AlarmEmail=oncall@example.com",
            "DeletionProtection=false",  # or a first deployment that fails could not be taken back
        ]
    command = [
        begin,
        "--template-file deploy/cloudformation/root.yaml",
        "--capabilities CAPABILITY_IAM --parameter-overrides",
        *values,
    ]
    after = "\n# When it stands, once more with DeletionProtection=true in place of the last line." if first else ""
    return " \\\n    ".join(command) + after


def outputs(stack: str, region: str | None) -> dict[str, str]:
    """The outputs of a stack by name. Raises Trouble when there is none of that name."""
    found = boto3.client("cloudformation", region_name=region).describe_stacks(StackName=stack)["Stacks"]
    if not found:
        raise Trouble(f"there is no stack {stack}")
    return {each["OutputKey"]: each["OutputValue"] for each in found[0].get("Outputs", [])}


def environment(stack: str, region: str | None, *, with_secret: bool) -> dict[str, str]:
    """The settings of a web process that signs people in through the stack's user pool, wherever that process runs."""
    known = outputs(stack, region)
    missing = sorted({*OUTPUTS.values(), "ClientSecretArn"} - known.keys())
    if missing:
        raise Trouble(f"the stack {stack} has no output {', '.join(missing)}; is it the root stack?")
    settings = {"DRSORCH_AUTH": "cognito"} | {name: known[output] for name, output in OUTPUTS.items()}
    if with_secret:
        keeper = boto3.client("secretsmanager", region_name=region)
        secret = keeper.get_secret_value(SecretId=known["ClientSecretArn"])["SecretString"]
        settings["COGNITO_CLIENT_SECRET"] = secret
    return settings


def check_command(command: list[str]) -> None:
    """Raises Trouble for a command that cannot do in a task what it does on a host, with the reason."""
    if command[:1] == ["backup"]:
        raise Trouble("the file would vanish with its task; take a snapshot: aws rds create-db-snapshot")
    if command[:1] == ["api_token"]:
        raise Trouble(
            "tokens are issued by the stack's user pool, and one printed here would stay in the log;"
            " scripts fetch theirs with ScriptSignIn=true as docs/sign-in.md says"
        )
    if command[:1] == ["restore"] and "--in-place" not in command:
        raise Trouble("a task has no file to read; restore a snapshot with SnapshotId, then: restore --in-place")


def run(stack: str, region: str | None, command: list[str], *, patience: float = 1800) -> int:
    """Run a manage.py command in a task of its own, as an engine would, and wait for it; returns how it ended.
    Raises Trouble when it was not started or takes longer than `patience` seconds."""
    check_command(command)
    known = outputs(stack, region)
    network = {"subnets": known["ProcessSubnets"].split(","), "securityGroups": [known["ProcessGroup"]]}
    ecs = boto3.client("ecs", region_name=region)
    began = ecs.run_task(
        cluster=known["Cluster"],
        taskDefinition=known["EngineTask"],
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network | {"assignPublicIp": "DISABLED"}},
        overrides={"containerOverrides": [{"name": "engine", "command": ["python", "manage.py", *command]}]},
    )
    if began["failures"]:
        raise Trouble(f"the task was not started: {began['failures']}")
    arn = began["tasks"][0]["taskArn"]
    print(f"{arn} runs; its output goes to {known['EngineLog']}", file=sys.stderr)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = ecs.describe_tasks(cluster=known["Cluster"], tasks=[arn])["tasks"]
        if found and found[0]["lastStatus"] == "STOPPED":
            code = found[0]["containers"][0].get("exitCode")
            if code is None:
                raise Trouble(f"the task ended before its command began: {found[0].get('stoppedReason', '')}")
            _show_output(known["EngineLog"], arn, region)
            return int(code)
        time.sleep(5)
    raise Trouble(f"{arn} still runs after {patience:.0f} s")


def _show_output(log: str, task: str, region: str | None) -> None:
    """What the task wrote, as far as CloudWatch Logs has it yet."""
    logs = boto3.client("logs", region_name=region)
    stream = f"engine/engine/{task.rpartition('/')[2]}"
    try:
        found = logs.get_log_events(logGroupName=log, logStreamName=stream, startFromHead=True)["events"]
    except logs.exceptions.ResourceNotFoundException:  # it wrote nothing
        return
    for event in found:
        print(event["message"])


def env_lines(settings: Mapping[str, str]) -> str:
    """One NAME=value a line, quoted where a shell would need it; systemd and compose read the same lines."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/stacks.py")
    verbs = parser.add_subparsers(dest="verb", required=True)
    packaging = verbs.add_parser("package", help="upload the nested templates and print the command that deploys them")
    what = packaging.add_mutually_exclusive_group(required=True)
    what.add_argument("--bucket", help="output BucketName of the stack made of artifacts.yaml")
    what.add_argument("--iam", action="store_true", help="write iam.json anew from deploy/iam, and nothing else")
    packaging.add_argument(
        "--architecture", choices=sorted(PLATFORMS), help="of the tasks; the default is what the stack has, or X86_64"
    )
    reading = verbs.add_parser("environment", help="print the settings for signing in through the stack's user pool")
    reading.add_argument("--with-secret", action="store_true", help="fetch the client's secret, too")
    running = verbs.add_parser("run", help="run a manage.py command in a task of its own and wait for it")
    for verb in (packaging, reading, running):
        verb.add_argument("--stack", default="drsorch", help="name of the root stack (drsorch)")
        verb.add_argument("--region", help="where; the default is AWS's own")
    running.add_argument("command", nargs=argparse.REMAINDER, help="such as: unknown_launches --hours 48")
    return parser.parse_args(given)


def write_iam() -> None:
    (TEMPLATES / "iam.json").write_text(json.dumps(iam_template(), indent=2) + "\n")
    (TEMPLATES / TARGET).write_text(MADE + yaml.safe_dump(target_template(), sort_keys=False, width=150))


def main(given: list[str]) -> int:
    options = _arguments(given)
    try:
        if options.verb == "environment":
            sys.stdout.write(env_lines(environment(options.stack, options.region, with_secret=options.with_secret)))
        elif options.verb == "run":
            return run(options.stack, options.region, options.command)
        elif options.iam:
            write_iam()
        else:
            prefix = package(options.bucket, options.region)
            known = parameters(options.stack, options.region)
            had = (known or {}).get("Architecture", "X86_64")
            wanted = options.architecture or had
            changed = wanted if wanted != had else ""
            command = deploy_command(
                options.bucket, prefix, options.stack, options.region, first=known is None, architecture=changed
            )
            print(f"{command}\n# Its image, built for Architecture={wanted}: {build_command(wanted)}")
    except (BotoCoreError, ClientError, Trouble) as error:
        print(f"deploy/stacks.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
