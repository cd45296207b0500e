"""What AWS's reasons mean, in plain words, and what to try."""

import re
from collections.abc import Sequence

# The first pattern that is found in AWS's text, or in our code, decides.
CAUSES: Sequence[tuple[str, str, str]] = (
    (
        "SERVER_GONE|not in DRS any more",
        "DRS does not know this source server any more; the other servers were launched without it.",
        "If its agent was installed anew, put its new id into the group and the plan; else take it out of the plan.",
    ),
    (
        "InsufficientInstanceCapacity",
        "AWS had no free machine of this instance type in the Availability Zone.",
        "Allow another instance type or subnet in the launch template, or reserve capacity. Then run it again.",
    ),
    (
        "VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCount",
        "The account's EC2 quota for this family of instances is used up.",
        "Ask for a higher EC2 quota in Service Quotas, or terminate instances that are no longer needed.",
    ),
    (
        "VolumeLimitExceeded|SnapshotLimitExceeded|MaxStorage",
        "The account's EBS quota is used up.",
        "Ask for a higher EBS quota in Service Quotas, or delete volumes and snapshots that are no longer needed.",
    ),
    (
        "AddressLimitExceeded|InsufficientFreeAddresses|PrivateIpAddressLimit|InUse.*address|IPInUse|InvalidIPAddress",
        "The subnet had no free address, or the address that the server wants is taken.",
        "Free addresses in the subnet, choose another subnet, or switch off “copy private IP” in the launch settings.",
    ),
    (
        "InvalidSubnet|InvalidGroup|InvalidSecurityGroup|InvalidNetworkInterface",
        "The launch template names a network, subnet or security group that does not exist any more.",
        "Correct the server's launch template in the recovery region.",
    ),
    (
        "InvalidLaunchTemplate|LaunchTemplate",
        "The server's launch template is missing or wrong.",
        "Open the server's launch settings in the DRS console and save them again.",
    ),
    (
        "UnauthorizedOperation|AccessDenied|not authorized|DRS_ACCESS_DENIED",
        "The credentials that launch may not do what the launch needs.",
        "Compare the engine's role with deploy/iam; the AWS text names the missing action. Then try again.",
    ),
    (
        "KMS|kms|InvalidKey|Client.InternalError",
        "The key that encrypts the volumes cannot be used.",
        "Check that the key is enabled, and that its policy and the engine's role allow it (deploy/iam/README.md).",
    ),
    (
        "REGION_NOT_INITIALIZED|UninitializedAccount",
        "DRS is not set up in this region, or the region is not enabled.",
        "Initialise DRS in the region, or correct the plan's region.",
    ),
    (
        "DRS_QUOTA_EXCEEDED|ServiceQuotaExceeded",
        "DRS runs at most 20 jobs and 500 servers in jobs at once, and was full for half an hour.",
        "Wait for other jobs to end, or start fewer plans at once.",
    ),
    (
        "ConflictException|currently being processed",
        "Another DRS job was working on one of the servers.",
        "See in the DRS console which job that is, let it end, and run the plan again.",
    ),
    (
        "AWS_NOT_ANSWERING",
        "DRS in a region stayed silent, and somebody gave up waiting. AWS may have launched all the same.",
        "When AWS answers, late instances are recorded here: use them, or terminate them. Then run the plan again.",
    ),
    (
        "UnrecognizedClientException",
        "AWS did not know the access key: it was deleted or replaced, or the region is not enabled for the account.",
        "If other regions fail as well, renew the engine's credentials; else enable the region. Then try again.",
    ),
    (
        "WAVE_TIMEOUT|not up in time",
        "The wave was not finished within the time that a wave may take. AWS goes on and late instances are recorded.",
        "Look whether the servers came up after all; raise DRSORCH_WAVE_TIMEOUT_SECONDS if launches often take longer.",
    ),
    (
        "SNAPSHOT_FAILED|SNAPSHOT_FAIL|No recovery snapshot",
        "There was no usable copy of the server's disks.",
        "Check the server's replication in the DRS console; it must have finished its first copy.",
    ),
    (
        "CONVERSION_FAIL|conversion server",
        "The copy could not be turned into a bootable machine.",
        "Check that the staging subnet reaches the DRS and S3 endpoints, and that DRS supports the operating system.",
    ),
    (
        "SERVER_SKIPPED|skipped",
        "DRS left this server out of the job.",
        "Check that the server is not disconnected or being deleted in the DRS console.",
    ),
    (
        "LAUNCH_REJECTED",
        "AWS did not take the launch.",
        "Read the AWS text; correct what it names and run the plan again.",
    ),
)
UNKNOWN = (
    "AWS gave no reason that is known here.",
    "Look the text up in the DRS job log and in CloudTrail, and try the launch once more.",
)


def explain(text: str, code: str = "") -> tuple[str, str]:
    """What an AWS text or a code of ours means, and what to try."""
    for told in (text, code):
        for pattern, meaning, advice in CAUSES:
            if told and re.search(pattern, told):
                return meaning, advice
    return UNKNOWN
