"""DRS's own recovery plans of one account and region: what it has, and how it is changed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drs.arns import server_arn
from drs.client import Drs

if TYPE_CHECKING:
    from mypy_boto3_drs.type_defs import RecoveryPlanStepConfigurationUnionTypeDef

RUNNING = ("CREATED", "IN_PROGRESS", "CANCELLING")
_ARN = re.compile("arn:aws(?:-[a-z0-9]+)*:drs:([a-z0-9-]+):([0-9]{12}):[a-zA-Z0-9_/.-]+")  # of the service model


def place_of(arn: str) -> tuple[str, str] | None:
    """The account and region that an ARN of DRS names; None for what is none."""
    found = _ARN.fullmatch(arn)
    return (found[2], found[1]) if found and len(arn) <= 2048 else None


@dataclass(frozen=True)
class StepInDrs:
    """A step as DRS has it: servers with whether each is optional, or a wait."""

    arn: str
    name: str
    servers: tuple[tuple[str, bool], ...]
    wait_minutes: int

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "StepInDrs":
        configuration = item.get("configuration") or {}
        servers = (configuration.get("serverStepConfiguration") or {}).get("servers") or []
        wait = (configuration.get("waitStepConfiguration") or {}).get("waitDurationMinutes") or 0
        return cls(
            arn=str(item["recoveryPlanStepArn"]),
            name=str(item.get("stepName") or ""),
            servers=tuple(
                (str(each["serverArn"]).rpartition("/")[2], each.get("impactLevel") == "OPTIONAL") for each in servers
            ),
            wait_minutes=int(wait),
        )


@dataclass(frozen=True)
class PlanInDrs:
    """A recovery plan as DRS lists it; `tags` and `description` only where it was asked for by itself."""

    arn: str
    name: str
    status: str
    description: str = ""
    tags: Mapping[str, str] | None = None

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "PlanInDrs":
        tags = item.get("tags")
        return cls(
            arn=str(item["recoveryPlanArn"]),
            name=str(item.get("name") or ""),
            status=str(item.get("status") or ""),
            description=str(item.get("description") or ""),
            tags=dict(tags) if isinstance(tags, Mapping) else None,
        )


@dataclass(frozen=True)
class ExecutionInDrs:
    """An execution that DRS lists."""

    arn: str
    plan_arn: str
    mode: str
    status: str

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "ExecutionInDrs":
        keys = ("recoveryPlanExecutionArn", "recoveryPlanArn", "mode", "status")
        return cls(*(str(item.get(key) or "") for key in keys))


def _launched_by(step: Mapping[str, Any]) -> Iterator[str]:
    configuration = (step.get("configuration") or {}).get("executionServerStepConfiguration") or {}
    for each in configuration.get("servers") or []:
        yield str(each["serverArn"]).rpartition("/")[2]


@dataclass(frozen=True)
class NativePlans(Drs):
    """Every method raises DrsError and nothing else for a call that failed. What is created has a clientToken, so that
    botocore's own retry makes no second one."""

    def plans(self) -> list[PlanInDrs]:
        """All of them, without their tags."""
        return self._call("ListRecoveryPlans", lambda: [PlanInDrs.read(each) for each in self._listed_plans()])

    def _listed_plans(self) -> Iterator[Mapping[str, Any]]:
        for page in self._reader.get_paginator("list_recovery_plans").paginate():
            yield from page["recoveryPlans"]

    def plan(self, arn: str) -> PlanInDrs:
        return self._call(
            "GetRecoveryPlan",
            lambda: PlanInDrs.read(self._reader.get_recovery_plan(recoveryPlanArn=arn)["recoveryPlan"]),
        )

    def steps(self, plan_arn: str) -> list[StepInDrs]:
        """In order."""

        def ask() -> list[StepInDrs]:
            pages = self._reader.get_paginator("list_recovery_plan_steps").paginate(recoveryPlanArn=plan_arn)
            found = [each for page in pages for each in page["recoveryPlanSteps"]]
            return [StepInDrs.read(each) for each in sorted(found, key=lambda each: each["stepOrder"])]

        return self._call("ListRecoveryPlanSteps", ask)

    def running(self) -> list[ExecutionInDrs]:
        """Executions that are not over."""

        def ask() -> list[ExecutionInDrs]:
            pages = self._reader.get_paginator("list_recovery_plan_executions").paginate()
            found = [ExecutionInDrs.read(each) for page in pages for each in page["recoveryPlanExecutions"]]
            return [each for each in found if each.status in RUNNING]

        return self._call("ListRecoveryPlanExecutions", ask)

    def servers_of(self, execution_arn: str) -> set[str]:
        """The source servers that an execution has launched, or may launch: those of all its steps, but for steps that
        somebody had it skip."""

        def ask() -> set[str]:
            pages = self._reader.get_paginator("list_recovery_plan_execution_steps").paginate(
                recoveryPlanExecutionArn=execution_arn
            )
            steps = [each for page in pages for each in page["recoveryPlanExecutionSteps"]]
            return {server for each in steps if each["status"] != "SKIPPED" for server in _launched_by(each)}

        return self._call("ListRecoveryPlanExecutionSteps", ask)

    def create(self, name: str, description: str, tags: Mapping[str, str], token: str) -> str:
        """Answers its ARN."""

        def send() -> str:
            made = self._reader.create_recovery_plan(
                name=name, description=description, clientToken=token, tags=dict(tags)
            )
            return made["recoveryPlan"]["recoveryPlanArn"]

        return self._call("CreateRecoveryPlan", send)

    def rename(self, arn: str, name: str, description: str) -> None:
        self._call(
            "UpdateRecoveryPlan",
            lambda: self._reader.update_recovery_plan(recoveryPlanArn=arn, name=name, description=description),
        )

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        self._call("TagResource", lambda: self._reader.tag_resource(resourceArn=arn, tags=dict(tags)))

    def delete(self, arn: str) -> None:
        self._call("DeleteRecoveryPlan", lambda: self._reader.delete_recovery_plan(recoveryPlanArn=arn))

    def add_step(
        self, plan_arn: str, name: str, servers: Sequence[tuple[str, bool]], wait_minutes: int, token: str
    ) -> None:
        """After those that there are."""
        configuration = self._configuration(servers, wait_minutes)
        self._call(
            "CreateRecoveryPlanStep",
            lambda: self._reader.create_recovery_plan_step(
                recoveryPlanArn=plan_arn, stepName=name, configuration=configuration, clientToken=token
            ),
        )

    def delete_step(self, step_arn: str) -> None:
        self._call(
            "DeleteRecoveryPlanStep", lambda: self._reader.delete_recovery_plan_step(recoveryPlanStepArn=step_arn)
        )

    def _configuration(
        self, servers: Sequence[tuple[str, bool]], wait_minutes: int
    ) -> "RecoveryPlanStepConfigurationUnionTypeDef":
        if not servers:
            return {"waitStepConfiguration": {"waitDurationMinutes": wait_minutes}}
        return {
            "serverStepConfiguration": {
                "servers": [
                    {
                        "serverArn": server_arn(self.account, self.region, server),
                        "impactLevel": "OPTIONAL" if optional else "CRITICAL",
                    }
                    for server, optional in servers
                ]
            }
        }
