"""Which AWS account the credentials belong to, asked of STS once a process."""

from functools import cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from drs import tally
from drs.client import classify

_QUICK = Config(connect_timeout=3, read_timeout=10)


@cache
def _ask(region: str) -> str:
    return str(
        boto3.session.Session().client("sts", region_name=region, config=_QUICK).get_caller_identity()["Account"]
    )


def account_id(region: str) -> str:
    """The 12-digit account id; raises DrsError when STS cannot be asked. Only an answer is remembered."""
    try:
        return _ask(region)
    except (BotoCoreError, ClientError) as error:
        raise tally.note(classify(error, region=region, operation="GetCallerIdentity")) from error
