"""Every code that only stands against a run: what readiness and dry runs find. Those that a run can end with as well
are in `ours.py`."""

from executions.codes.entry import Entry, OurCode, Where

HERE = (Where.READINESS,)


class Against(OurCode):
    """What readiness or a dry run finds, of a server or of the plan."""

    ENGINE_NOT_ALIVE = (
        "ENGINE_NOT_ALIVE",
        Entry(
            "No engine is running, so nothing would launch.",
            "Start one: “python manage.py engine”, or as docs/runbook.md says under “Engine silent”.",
            HERE,
        ),
    )
    INSTALLATION_SUPERSEDED = (
        "INSTALLATION_SUPERSEDED",
        Entry(
            "Another installation has taken over, so nothing would launch here.",
            "Work with the other one. Was that a mistake, docs/runbook.md says what to do under “When this product is"
            " down”.",
            HERE,
        ),
    )
    OTHER_ACCOUNT = (
        "OTHER_ACCOUNT",
        Entry(
            "The engine's AWS credentials have been for another account than the servers, or of nobody knows whose.",
            "Give the engine credentials of the servers' account and restart it.",
            HERE,
            is_reason=True,
        ),
    )
    INVENTORY_STALE = (
        "INVENTORY_STALE",
        Entry(
            "DRS in a region was not read lately, so nobody knows how its servers are.",
            "See on the page of source servers why it cannot be read.",
            HERE,
        ),
    )
    INVENTORY_FAILING = (
        "INVENTORY_FAILING",
        Entry(
            "The last reading of a region failed; the one before is still believed.",
            "Read the AWS text; the engine goes on asking.",
            HERE,
        ),
    )
    NO_SNAPSHOT = (
        "NO_SNAPSHOT",
        Entry(
            "The server has no recovery snapshot, so nothing can be launched.",
            "Let its first copy finish; if it stands still, see its replication in the DRS console.",
            HERE,
            heading="No recovery snapshot to launch from",
        ),
    )
    NO_LAUNCH_SETTINGS = (
        "NO_LAUNCH_SETTINGS",
        Entry(
            "DRS has no launch settings for the server.",
            "Open the server's launch settings in the DRS console and save them.",
            HERE,
            heading="No launch settings in DRS",
        ),
    )
    NO_LAUNCH_TEMPLATE = (
        "NO_LAUNCH_TEMPLATE",
        Entry(
            "The launch template of the server does not exist any more, so DRS cannot launch it.",
            "Open the server's launch settings in the DRS console and save them: DRS makes another template.",
            HERE,
            heading="The launch template does not exist any more",
        ),
    )
    NATIVE_PLAN_DIFFERS = (
        "NATIVE_PLAN_DIFFERS",
        Entry(
            "The copy of this plan in DRS, the way out when this product is down, is not what the plan is now.",
            "Open the plan, In DRS, and write it again; of a plan that engines keep there, mend what AWS names.",
            HERE,
        ),
    )
    GROUP_DIFFERS = (
        "GROUP_DIFFERS",
        Entry(
            "A protection group follows a match (follow: true), and has other servers than the match finds now.",
            "Apply its document again (Settings, Configuration, or “drsorch apply”): the difference shows it all.",
            HERE,
        ),
    )
    LAUNCH_SETTINGS_CHANGED = (
        "LAUNCH_SETTINGS_CHANGED",
        Entry(
            "Launch settings of a server are not those that the last completed drill launched it with.",
            "See who changed them and why; if they are right, start a drill with them.",
            HERE,
        ),
    )
    TEMPLATES_UNKNOWN = (
        "TEMPLATES_UNKNOWN",
        Entry(
            "EC2 does not tell launch templates, so nobody notices that they were changed since the last drill.",
            "Give the engine's role ec2:DescribeLaunchTemplateVersions (deploy/iam/engine.json has it).",
            HERE,
        ),
    )
    SUBNET_FULL = (
        "SUBNET_FULL",
        Entry(
            "A subnet has fewer free addresses than the plan would launch servers into it.",
            "Free addresses there, or name another subnet in the servers' launch settings.",
            HERE,
        ),
    )
    SUBNET_GONE = (
        "SUBNET_GONE",
        Entry(
            "Launch templates name a subnet that does not exist any more.",
            "Name another subnet in the servers' launch settings.",
            HERE,
        ),
    )
    VCPUS_EXHAUSTED = (
        "VCPUS_EXHAUSTED",
        Entry(
            "More vCPUs would run than the account's quota for On-Demand instances allows, so some would not launch.",
            "Ask AWS for a higher quota before you need it, which takes days, or end instances that nobody needs.",
            HERE,
            quota="ec2",
        ),
    )
    ROOM_UNKNOWN = (
        "ROOM_UNKNOWN",
        Entry(
            "Quotas, free addresses of subnets or vCPUs could not be read, so nobody knows whether there is room.",
            "The AWS text says which right is missing; deploy/iam/check.json has those that the core has not.",
            HERE,
        ),
    )
    RPO_EXCEEDED = (
        "RPO_EXCEEDED",
        Entry(
            "The data that a launch would bring up is older than the plan's RPO.",
            "See in the DRS console why the server lags, or launch knowing that this data is lost.",
            HERE,
            heading="Data older than the RPO allows",
        ),
    )
    RPO_UNKNOWN = (
        "RPO_UNKNOWN",
        Entry(
            "DRS does not tell how old the data is that a launch would bring up.",
            "See its replication in the DRS console; until its lag is known, nobody can say that the RPO holds.",
            HERE,
            heading="Age of the data not known, so the RPO cannot be judged",
        ),
    )
    REPLICATION_TROUBLE = (
        "REPLICATION_TROUBLE",
        Entry(
            "DRS reports a replication error, an error of the staging account, or that the server is in a failback.",
            "DRS's own words are beside the server; put right what they name, or launch from what was copied before.",
            HERE,
            heading="In trouble, DRS says",
        ),
    )
    DETAILS_UNKNOWN = (
        "DETAILS_UNKNOWN",
        Entry(
            "The server's snapshots and launch settings were not read in the last hours.",
            "Wait for the engine to read them, or start a dry run, which reads them now.",
            HERE,
            heading="Snapshots and launch settings not read recently",
        ),
    )
    NOT_REPLICATING = (
        "NOT_REPLICATING",
        Entry(
            "The server does not replicate; a launch uses its last snapshot.",
            "See in the DRS console why; in a disaster this is to be expected.",
            HERE,
            heading="Not replicating; launched from the last snapshot",
        ),
    )
    AGENT_SILENT = (
        "AGENT_SILENT",
        Entry(
            "DRS has not heard of the server's agent for more than an hour, whatever it says of its replication.",
            "See whether the source runs, its agent's service, and its way to DRS (TCP 443 and 1500).",
            HERE,
            heading="Agent not heard of for more than an hour",
        ),
    )
    SAME_MACHINE = (
        "SAME_MACHINE",
        Entry(
            "A plan has a server and one that extends it into another account: the same machine would be launched"
            " twice, with the same names and addresses.",
            "Take one of the two out of the plan: recover the machine in one account.",
            HERE,
        ),
    )
    CHECKS_UNKNOWN = (
        "CHECKS_UNKNOWN",
        Entry(
            "EC2 does not tell the status checks of instances, so nobody sees whether launched servers come up. A wave"
            " that asks for them would fail.",
            "Give the engine's role ec2:DescribeInstanceStatus (deploy/iam/engine.json has it).",
            HERE,
        ),
    )
    LAUNCHED_STOPPED = (
        "LAUNCHED_STOPPED",
        Entry(
            "The server's launch disposition is STOPPED: DRS leaves its instance stopped, and it is never usable.",
            "Set “start instance upon launch” in its launch settings, or start the instance yourself afterwards.",
            HERE,
            heading="Left stopped after the launch, so never usable by itself",
        ),
    )
    ACTIONS_DENIED = (
        "ACTIONS_DENIED",
        Entry(
            "Post-launch actions are on for the server, and the engine's role may not run them.",
            "Attach deploy/iam/launch-actions.json to the role, or turn the actions off in DRS.",
            HERE,
            heading="Post-launch actions that the engine’s role may not run",
        ),
    )
    LAGGING = (
        "LAGGING",
        Entry(
            "The server's copy is behind its source.",
            "Wait until it has caught up; else see its replication in the DRS console.",
            HERE,
            heading="Behind its source",
        ),
    )
    BUSY_AT_DRS = (
        "BUSY_AT_DRS",
        Entry(
            "The server is in a DRS job that is not of this installation, so its launch waits.",
            "Let that job end; the DRS console shows whose it is.",
            HERE,
            heading="In another DRS job, so its launch waits",
        ),
    )
    DRILL_INSTANCE_RUNS = (
        "DRILL_INSTANCE_RUNS",
        Entry(
            "An instance from an earlier drill is still running; a launch replaces it.",
            "Terminate that drill's instances if nobody uses them.",
            HERE,
            heading="An instance from an earlier drill is still running; a launch replaces it",
        ),
    )
    RECOVERY_INSTANCE_RUNS = (
        "RECOVERY_INSTANCE_RUNS",
        Entry(
            "A recovery instance of the server runs; a launch replaces it.",
            "Make sure that it does not serve production before you start.",
            HERE,
            heading="A recovery instance is running; a launch replaces it",
        ),
    )
    FOREIGN_INSTANCE_RUNS = (
        "FOREIGN_INSTANCE_RUNS",
        Entry(
            "An instance of the server runs that was not launched from here; a launch replaces it.",
            "Find out in the DRS console who launched it, and whether it serves production.",
            HERE,
            heading="An instance that was not launched from here is running; a launch replaces it",
        ),
    )
    QUOTA_JOBS = (
        "QUOTA_JOBS",
        Entry(
            "With the plan's biggest wave, more DRS jobs would run in the region than DRS allows, so launches wait.",
            "Let other jobs end first, or ask AWS for a higher quota.",
            HERE,
            quota="drs",
        ),
    )
    QUOTA_SERVERS = (
        "QUOTA_SERVERS",
        Entry(
            "With the plan's biggest wave, more servers would be in DRS jobs than DRS allows, so launches wait.",
            "Let other jobs end first, make the wave smaller, or ask AWS for a higher quota.",
            HERE,
            quota="drs",
        ),
    )
    QUOTA_UNKNOWN = (
        "QUOTA_UNKNOWN",
        Entry(
            "Which DRS jobs run in the region was not read lately, so nobody knows whether launches would wait.",
            "Wait for the engine to read them; see on the page of source servers whether the region can be read.",
            HERE,
        ),
    )
    NEVER_DRILLED = (
        "NEVER_DRILLED",
        Entry(
            "It has never completed a drill. A plan that was never tested may not work.",
            "Start a drill, let it end, and terminate its instances.",
            HERE,
        ),
    )
    DRILL_OVERDUE = (
        "DRILL_OVERDUE",
        Entry("The last completed drill was long ago.", "Start a drill.", HERE),
    )
    CHANGED_SINCE_DRILL = (
        "CHANGED_SINCE_DRILL",
        Entry("The plan is not the one that was drilled last.", "Start a drill of the plan as it is now.", HERE),
    )
    NOT_CHECKED = (
        "NOT_CHECKED",
        Entry(
            "The dry run could not look at the server, so it counts as one that would not launch.",
            "Read the AWS text, correct what it names, and start the dry run again.",
            HERE,
        ),
    )
