"""The reasons of AWS that are recognized in its texts, with what they mean and what to try."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contract.codes import Explanation
from drs.errors import BY_CODE, Trouble
from executions.codes.ours import Code
from executions.codes.readiness import Against


@dataclass(frozen=True)
class AwsReason:
    """A reason with the marks by which it is known: regular expressions, any of which is found in AWS's text."""

    marks: tuple[str, ...]
    explanation: Explanation

    def is_in(self, text: str) -> bool:
        return re.search("|".join(self.marks), text) is not None


def _codes(trouble: Trouble) -> tuple[str, ...]:
    """The codes of AWS that stand for this trouble; one that begins with another is found by that."""
    codes = [code for code, kind in BY_CODE.items() if kind is trouble]
    return tuple(code for code in codes if not any(code != each and code.startswith(each) for each in codes))


# The first one that is found decides: what AWS says of one thing stands before the kinds of refusal.
AWS_REASONS: Sequence[AwsReason] = (
    AwsReason(
        ("L-DD6D028C",),
        Explanation(
            "DRS takes one job a source server at a time, and another one had this server for half an hour or longer.",
            "See in the DRS console which job that is, let it end, and run the plan again. A higher quota is of no"
            " use.",
        ),
    ),
    AwsReason(
        ("L-B827C881",),
        Explanation(
            "DRS took fewer servers in one job than this launch had.",
            "Look in Service Quotas how many servers a job may have in this region, and ask for the usual 100.",
            quota="drs",
        ),
    ),
    AwsReason(
        ("L-D88FAC3A",),
        Explanation(
            "DRS runs at most 20 jobs at once in a region, and was full for half an hour or longer.",
            "Wait for other jobs to end, or start fewer plans at once.",
            quota="drs",
        ),
    ),
    AwsReason(
        ("L-05AFA8C6",),
        Explanation(
            "DRS works on at most 500 servers in all jobs of a region, and was full for half an hour or longer.",
            "Wait for other jobs to end, or start plans of many servers one after the other.",
            quota="drs",
        ),
    ),
    AwsReason(
        ("InsufficientInstanceCapacity",),
        Explanation(
            "AWS had no free machine of this instance type in the Availability Zone.",
            "Allow another instance type or subnet in the launch template, or reserve capacity. Then run it again.",
        ),
    ),
    AwsReason(
        (
            "InsufficientHostCapacity",
            "HostLimitExceeded",
            "UnsupportedHostConfiguration",
            "ReservationCapacityExceeded",
        ),
        Explanation(
            "The Dedicated Host or the capacity reservation that the launch settings ask for has no room, or does not"
            " take this instance type.",
            "Allocate another host or free one; licenses that you bring along may need one. Or correct the server's"
            " launch template. Then run it again.",
        ),
    ),
    AwsReason(
        (
            "requested instance type",
            "requested configuration is currently not supported",
            "InvalidInstanceType",
            "Enhanced networking",
        ),
        Explanation(
            "The instance type is not offered in that Availability Zone, or the server cannot run on it.",
            "Choose another instance type, or a subnet in another zone, in the server's launch template. Where"
            " right-sizing is on, DRS chooses the type: switch it off first.",
        ),
    ),
    AwsReason(
        ("Marketplace product", "accept terms and subscribe"),
        Explanation(
            "The server's disks carry a product of AWS Marketplace to which the recovery account is not subscribed.",
            "Subscribe that account to the product in AWS Marketplace. Then run it again.",
        ),
    ),
    AwsReason(
        ("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCount"),
        Explanation(
            "The account's EC2 quota for this family of instances is used up.",
            "Ask for a higher EC2 quota in Service Quotas, or terminate instances that are no longer needed.",
            quota="ec2",
        ),
    ),
    AwsReason(
        ("VolumeLimitExceeded", "SnapshotLimitExceeded", "MaxStorage"),
        Explanation(
            "The account's EBS quota is used up.",
            "Ask for a higher EBS quota in Service Quotas, or delete volumes and snapshots that are no longer needed.",
            quota="ebs",
        ),
    ),
    AwsReason(
        (
            "AddressLimitExceeded",
            "InsufficientFreeAddresses",
            "PrivateIpAddressLimit",
            "InUse.*address",
            "IPInUse",
            "InvalidIPAddress",
        ),
        Explanation(
            "The subnet had no free address, or the address that the server wants is taken.",
            "Free addresses in the subnet, choose another subnet, or switch off “copy private IP” in the launch"
            " settings.",
        ),
    ),
    AwsReason(
        ("InvalidSubnet", "InvalidGroup", "InvalidSecurityGroup", "InvalidNetworkInterface"),
        Explanation(
            "The launch template names a network, subnet or security group that does not exist any more.",
            "Correct the server's launch template in the recovery region.",
        ),
    ),
    AwsReason(
        (
            "InvalidKeyPair",
            "InvalidAMIID",
            "[iI]amInstanceProfile",
            "InvalidPlacementGroup",
            "InvalidHostID",
            "InvalidHostResourceGroup",
            "InvalidCapacityReservation",
        ),
        Explanation(
            "The launch template names a key pair, image, instance profile, placement group, host or reservation that"
            " does not exist any more.",
            "Correct the server's launch template in the recovery region.",
        ),
    ),
    AwsReason(
        ("LaunchTemplate", "UPDATE_LAUNCH_TEMPLATE"),
        Explanation(
            "The server's launch template is missing or wrong.",
            "Open the server's launch settings in the DRS console and save them again.",
        ),
    ),
    AwsReason((*_codes(Trouble.ACCESS_DENIED), "not authorized"), Code.DRS_ACCESS_DENIED.explanation),
    AwsReason(
        ("KMS", "kms", "InvalidKey(?!Pair)", "Client.InternalError"),
        Explanation(
            "The key that encrypts the volumes cannot be used.",
            "Check that the key is enabled, and that its policy and the engine's role allow it (deploy/iam/README.md).",
        ),
    ),
    AwsReason(_codes(Trouble.NOT_INITIALIZED), Code.REGION_NOT_INITIALIZED.explanation),
    AwsReason(_codes(Trouble.REGION_NOT_ENABLED), Code.REGION_NOT_ENABLED.explanation),
    AwsReason(_codes(Trouble.QUOTA), Code.DRS_QUOTA_EXCEEDED.explanation),
    AwsReason(
        (*_codes(Trouble.CONFLICT), "currently being processed"),
        Explanation(
            "Another DRS job was working on one of the servers.",
            "See in the DRS console which job that is, let it end, and run the plan again.",
        ),
    ),
    AwsReason(
        _codes(Trouble.KEY_OR_REGION),
        Explanation(
            "AWS did not know the access key: it was deleted or replaced, or the region is not enabled for the"
            " account.",
            "If other regions fail as well, renew the engine's credentials; else enable the region. Then try again.",
        ),
    ),
    AwsReason(_codes(Trouble.OTHER_ACCOUNT), Against.OTHER_ACCOUNT.explanation),
    AwsReason(
        (*_codes(Trouble.CREDENTIALS), "CredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
        Explanation(
            "AWS does not accept the engine's credentials: they are expired or wrong, or the host's clock is.",
            "Renew the credentials or set the clock right, and restart the engines. Then try again.",
        ),
    ),
    AwsReason(_codes(Trouble.THROTTLED), Code.DRS_THROTTLED.explanation),
    AwsReason(
        ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"),
        Explanation(
            "AWS could not be reached from the engine's host.",
            "Check network, proxy and endpoint there, and AWS's health page. Then try again.",
        ),
    ),
    AwsReason(
        ("SNAPSHOT_FAIL", "No recovery snapshot", "InvalidSnapshot"),
        Explanation(
            "There was no usable copy of the server's disks.",
            "Check the server's replication in the DRS console: it must have finished its first copy. Whoever"
            " disconnects a server from DRS, or stops its replication, deletes its snapshots.",
        ),
    ),
    AwsReason(
        ("CONVERSION_FAIL", "conversion server"),
        Explanation(
            "The copy could not be turned into a bootable machine.",
            "Check that the staging subnet reaches the DRS and S3 endpoints, and that DRS supports the operating"
            " system.",
        ),
    ),
    AwsReason(
        ("CLEANUP_FAIL", "disableApiTermination"),
        Explanation(
            "The instance could not be removed: it may be protected from termination.",
            "See whether somebody protected it on purpose; else take its termination protection off in EC2. Then try"
            " again.",
        ),
    ),
    AwsReason(
        ("NETWORK_RECOVERY_FAIL", "NETWORK_CONFIGURATION_FAILED"),
        Explanation(
            "DRS could not recover the network of the job.",
            "See the source network and its CloudFormation stack in the DRS console.",
        ),
    ),
    AwsReason(
        ("JOB_CANCEL",),
        Explanation(
            "DRS cancelled the job.",
            "See in CloudTrail and in the DRS console who or what ended it, then try again.",
        ),
    ),
    AwsReason(
        ("SERVER_SKIPPED", "skipped"),
        Explanation(
            "DRS left this server out of the job.",
            "Check that the server is not disconnected or being deleted in the DRS console.",
        ),
    ),
    AwsReason(
        _codes(Trouble.NOT_FOUND),
        Explanation(
            "DRS does not know something that the request names: a server, an instance or a job.",
            "If an agent was installed anew, put the server's new id into the group and the plan. An instance that"
            " DRS does not know may run in EC2: look there.",
        ),
    ),
    AwsReason(
        _codes(Trouble.INVALID),
        Explanation(
            "AWS refuses the request as invalid, and will go on doing so.",
            "Read the AWS text; correct what it names and try again, or tell an administrator.",
        ),
    ),
)
UNKNOWN = Explanation(
    "AWS gave no reason that is known here.",
    "Look the text up in the DRS job log and in CloudTrail, and try the launch once more.",
)
