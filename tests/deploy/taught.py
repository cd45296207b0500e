"""What moto's CloudFormation does not know is made through moto's other services, and what its models do not tell is
told: importing this teaches it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudformation import models, parsing, responses
from moto.cloudformation.models import Stack
from moto.cloudformation.utils import yaml_tag_constructor
from moto.cognitoidp.exceptions import InvalidParameterException, NotAuthorizedError
from moto.cognitoidp.models import CognitoIdpBackend
from moto.cognitoidp.utils import check_secret_hash
from moto.core.common_models import CloudFormationModel
from moto.ec2.models.route_tables import RouteTable
from moto.ecs.models import EC2ContainerServiceBackend
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup
from moto.iam.models import Role
from moto.rds.models import DBInstance, DBParameterGroup

from tests.deploy.cloud import MADE, OF_SNAPSHOT_GIB, client

# (physical id, attributes) of a resource, made of its logical id and properties; and how to take it away again.
Make = Callable[[str, dict[str, Any]], tuple[str, dict[str, str]]]


@dataclass
class Made:
    """What moto's CloudFormation wants to know about a resource."""

    physical_resource_id: str
    attributes: dict[str, str]
    cf_resource_type: str = ""
    logical_resource_id: str = ""
    type = ""

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, name: str) -> str:
        return self.attributes[name]


def _teach(kind: str, make: Make) -> None:
    """Let moto's CloudFormation make resources of this type."""

    def create(cls: Any, /, name: str, given: dict[str, Any], account: str, region: str, **more: Any) -> Made:
        made = Made(*make(name, given["Properties"]))
        MADE.append((kind, made.physical_resource_id))
        return made

    def delete(cls: Any, name: str, *rest: Any) -> None:
        MADE.remove((kind, name))

    methods = {
        "cloudformation_name_type": staticmethod(lambda: ""),
        "cloudformation_type": staticmethod(lambda: kind),
        "has_cfn_attr": classmethod(lambda cls, attribute: True),
        "create_from_cloudformation_json": classmethod(create),
        "delete_from_cloudformation_json": classmethod(delete),
        "update_from_cloudformation_json": classmethod(create),
    }
    TAUGHT.append(type(kind.replace("::", ""), (CloudFormationModel,), methods))


TAUGHT: list[type] = []  # moto finds them as subclasses, which only live while somebody holds them


def _secret(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    text = given.get("SecretString")
    if text is None:
        how = given["GenerateSecretString"]
        word = client("secretsmanager").get_random_password(
            PasswordLength=how["PasswordLength"], ExcludePunctuation=True
        )["RandomPassword"]
        key = how.get("GenerateStringKey")
        text = json.dumps(json.loads(how["SecretStringTemplate"]) | {key: word}) if key else word
    arn = client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"]
    return arn, {}


def _pool(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    known = {"PoolName": given["UserPoolName"], "Policies": given["Policies"]}
    pool = client("cognito-idp").create_user_pool(**known, UsernameAttributes=given["UsernameAttributes"])["UserPool"]
    return pool["Id"], {"Arn": pool["Arn"]}


def _pages(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    client("cognito-idp").create_user_pool_domain(**given)
    return given["Domain"], {}


def _app_client(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    made = client("cognito-idp").create_user_pool_client(**given)["UserPoolClient"]
    secret = {"ClientSecret": made["ClientSecret"]} if given["GenerateSecret"] in (True, "true") else {}
    return made["ClientId"], secret


def _group(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    client("cognito-idp").create_group(**given)
    return given["GroupName"], {}


def _alarm(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    numbers = {key: int(given[key]) for key in ("EvaluationPeriods", "Period", "Threshold")}
    client("cloudwatch").put_metric_alarm(AlarmName=name, **given | numbers)
    return name, {}


def _policy_of_bucket(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Only noted: moto applies a statement without its condition, and would refuse everybody."""
    client("s3").head_bucket(Bucket=given["Bucket"])
    return name, {}


def _policy_of_topic(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    for topic in given["Topics"]:
        client("sns").set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(given["PolicyDocument"])
        )
    return name, {}


def _subscription(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return client("sns").subscribe(**given, ReturnSubscriptionArn=True)["SubscriptionArn"], {}


def _custom(name: str, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """No Lambda runs here; the test of the function itself calls it. What matters is that it exists."""
    client("lambda").get_function(FunctionName=given["ServiceToken"])
    return name, {}


_teach("AWS::SecretsManager::Secret", _secret)
_teach("AWS::Cognito::UserPool", _pool)
_teach("AWS::Cognito::UserPoolDomain", _pages)
_teach("AWS::Cognito::UserPoolClient", _app_client)
_teach("AWS::Cognito::UserPoolGroup", _group)
_teach("AWS::CloudWatch::Alarm", _alarm)
_teach("AWS::S3::BucketPolicy", _policy_of_bucket)
_teach("AWS::SNS::TopicPolicy", _policy_of_topic)
_teach("AWS::SNS::Subscription", _subscription)
_teach("AWS::CloudFormation::CustomResource", _custom)


def _clean(value: Any, known: Any, clean: Callable[[Any, Any], Any] = parsing.clean_json) -> Any:
    """In a list, moto leaves None where AWS::NoValue stands; CloudFormation leaves nothing."""
    cleaned = clean(value, known)
    return [each for each in cleaned if each is not None] if isinstance(cleaned, list) else cleaned


def _output_of_nested(stack: Stack, name: str) -> str:
    outputs = {str(each["OutputKey"]): str(each["OutputValue"]) for each in stack.outputs or []}
    return outputs[name.removeprefix("Outputs.")]


def _tagged(loader: Any, tag: str, node: Any) -> Any:
    """moto splits `!GetAtt Database.Outputs.Url` at every point; an attribute's name begins after the first."""
    if tag == "!GetAtt":
        return {"Fn::GetAtt": node.value.split(".", 1)}
    return yaml_tag_constructor(loader, tag, node)


def _name_of_targets(group: FakeTargetGroup, name: str) -> str:
    return {"TargetGroupFullName": str(group.arn).rpartition(":")[2]}[name]


def _name_of_balancer(
    balancer: FakeLoadBalancer, name: str, known: Callable[..., str] = FakeLoadBalancer.get_cfn_attribute
) -> str:
    full = str(balancer.arn).partition(":loadbalancer/")[2]
    return full if name == "LoadBalancerFullName" else known(balancer, name)


def _delete_table(cls: Any, name: str, *rest: Any) -> None:
    """moto leaves route tables and their associations behind, and then refuses to delete the network."""
    [table] = client("ec2").describe_route_tables(RouteTableIds=[name])["RouteTables"]
    for each in table["Associations"]:
        client("ec2").disassociate_route_table(AssociationId=each["RouteTableAssociationId"])
    client("ec2").delete_route_table(RouteTableId=name)


def _needs_nothing(backend: Any, task_definition: Any) -> dict[str, Any]:
    """moto adds up the memory of containers, which on Fargate may be given for the task alone."""
    return {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}


def _sign_in(
    pools: CognitoIdpBackend,
    user_pool_id: str,
    client_id: str,
    auth_flow: str,
    auth_parameters: dict[str, str],
    plain: Callable[..., dict[str, Any]] = CognitoIdpBackend.admin_initiate_auth,
) -> dict[str, Any]:
    """moto takes any flow, whatever the app client allows, and asks for no secret."""
    app = pools.describe_user_pool(user_pool_id).clients[client_id]
    if f"ALLOW_{auth_flow}" not in app.extended_config["ExplicitAuthFlows"]:
        raise InvalidParameterException("Auth flow not enabled for this client")
    if not check_secret_hash(app.secret, app.id, auth_parameters["USERNAME"], auth_parameters.get("SECRET_HASH")):
        raise NotAuthorizedError("Unable to verify secret hash for client")
    return plain(pools, user_pool_id, client_id, auth_flow, auth_parameters)


def _delete_all(stack: Any, plain: Callable[[Any], None] = parsing.ResourceMap.delete) -> None:
    """moto knows of Retain alone; once a stack has been made, this other word means the same."""
    for each in stack._resource_json_map.values():
        if each.get("DeletionPolicy") == "RetainExceptOnCreate":
            each["DeletionPolicy"] = "Retain"
    plain(stack)


def _role(
    cls: Any,
    /,
    name: str,
    given: dict[str, Any],
    account: str,
    region: str,
    plain: Callable[..., Role] = Role.create_from_cloudformation_json.__func__,  # type: ignore[attr-defined]
    **more: Any,
) -> Role:
    """moto passes over the managed policies of a role."""
    role = plain(cls, name, given, account, region, **more)
    for arn in given["Properties"].get("ManagedPolicyArns", []):
        client("iam").attach_role_policy(RoleName=role.name, PolicyArn=arn)
    return role


def _delete_role(
    cls: Any,
    name: str,
    *rest: Any,
    plain: Callable[..., None] = Role.delete_from_cloudformation_json.__func__,  # type: ignore[attr-defined]
) -> None:
    """And does not take them away with it."""
    for each in client("iam").list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        client("iam").detach_role_policy(RoleName=name, PolicyArn=each["PolicyArn"])
    plain(cls, name, *rest)


TOLD: tuple[tuple[Any, str, Any], ...] = (
    (models, "yaml_tag_constructor", _tagged),
    (responses, "yaml_tag_constructor", _tagged),
    (parsing, "clean_json", _clean),
    (parsing.ResourceMap, "delete", _delete_all),
    # moto makes no database from a snapshot; one whose storage is not given has what a snapshot would have had.
    (DBInstance, "default_allocated_storage", staticmethod(lambda *_, **__: OF_SNAPSHOT_GIB)),
    # What a Ref and a GetAtt give, where moto's own models lack it.
    (Stack, "get_cfn_attribute", _output_of_nested),
    (FakeLoadBalancer, "get_cfn_attribute", _name_of_balancer),
    (FakeTargetGroup, "get_cfn_attribute", _name_of_targets),
    (DBParameterGroup, "physical_resource_id", property(lambda group: group.name)),
    (EC2ContainerServiceBackend, "_calculate_task_resource_requirements", _needs_nothing),
    (RouteTable, "delete_from_cloudformation_json", classmethod(_delete_table)),
    (CognitoIdpBackend, "admin_initiate_auth", _sign_in),
    (Role, "create_from_cloudformation_json", classmethod(_role)),
    (Role, "delete_from_cloudformation_json", classmethod(_delete_role)),
)
for owner, name, what in TOLD:
    setattr(owner, name, what)
