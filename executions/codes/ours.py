"""Every code of ours that a run, a wave, a launch or a termination can end with or be refused by.

The one place that says what each means and what to try: pages, reports, notifications, the API's document and
docs/runbook.md read it. What only stands against a run is in `readiness.py`; codes of requests that are about no run
are in `contract/rest/schema.py`.
"""

from executions.codes.entry import Entry, OurCode, Where

RUN, TERMINATION, START, READINESS = Where


class Code(OurCode):
    """How a run, a wave, a launch or a termination ended, and why a start or a command was refused."""

    # How a run, a wave or a launch ends

    SERVER_LAUNCH_FAILED = (
        "SERVER_LAUNCH_FAILED",
        Entry(
            "DRS could not launch some servers of the wave.",
            "The reason is beside each server and in the job logs. When it is gone and the run has ended, try again.",
            (RUN,),
            is_sum=True,
        ),
    )
    WAVE_TIMEOUT = (
        "WAVE_TIMEOUT",
        Entry(
            "The wave was not finished within the time that a wave may take. AWS goes on and late instances are"
            " recorded.",
            "Look whether the servers came up after all, and try again when the run has ended; raise"
            " DRSORCH_WAVE_TIMEOUT_SECONDS if launches often take longer.",
            (RUN,),
        ),
    )
    AWS_NOT_ANSWERING = (
        "AWS_NOT_ANSWERING",
        Entry(
            "DRS in a region stayed silent, and somebody gave up waiting. AWS may have launched all the same.",
            "When AWS answers, late instances are recorded here: use them, or terminate them. Then run the plan again.",
            (RUN,),
        ),
    )
    LAUNCH_REJECTED = (
        "LAUNCH_REJECTED",
        Entry(
            "AWS did not take the launch.",
            "Read the AWS text; correct what it names and run the plan again.",
            (RUN,),
        ),
    )
    DRS_ACCESS_DENIED = (
        "DRS_ACCESS_DENIED",
        Entry(
            "The AWS credentials may not do what this needs.",
            "Compare the engine's role with deploy/iam; the AWS text names the missing action. Then try again.",
            (RUN, TERMINATION),
            is_reason=True,
        ),
    )
    REGION_NOT_INITIALIZED = (
        "REGION_NOT_INITIALIZED",
        Entry(
            "DRS is not set up in this region, or the region is not enabled.",
            "Initialize DRS in the region, or correct the plan's region.",
            (RUN, READINESS),
            is_reason=True,
        ),
    )
    DRS_QUOTA_EXCEEDED = (
        "DRS_QUOTA_EXCEEDED",
        Entry(
            "DRS runs at most 20 jobs and 500 servers in jobs at once, and was full for half an hour or longer.",
            "Wait for other jobs to end, or start fewer plans at once.",
            (RUN,),
            quota="drs",
        ),
    )
    SERVER_GONE = (
        "SERVER_GONE",
        Entry(
            "DRS does not know this source server any more; the other servers are launched without it.",
            "If its agent was installed anew, put its new id into the group and the plan; else take it out of the"
            " plan.",
            (RUN, READINESS),
            is_reason=True,
            heading="No longer in DRS",
        ),
    )
    SNAPSHOT_GONE = (
        "SNAPSHOT_GONE",
        Entry(
            "The recovery snapshot that this server was to be launched from is not in DRS, or it had none at that time;"
            " the other servers are launched without it, and nothing newer is launched in its place.",
            "Retry keeps the choice. Start the plan again with another point in time, or with the newest data.",
            (RUN, READINESS),
            is_reason=True,
            heading="No snapshot at or before that time",
        ),
    )
    NOT_USABLE = (
        "NOT_USABLE",
        Entry(
            "DRS launched the server, and its instance did not come up: it was terminated or stopped when it was looked"
            " at, or its status checks or post-launch actions did not succeed in the time that its wave gives them.",
            "See its state transition reason and its system log in EC2: often a key that may not be used, a quota, or a"
            " disk that does not boot. The instance stands until it is terminated or its wave is retried. One that"
            " shall be launched stopped has the launch disposition STOPPED in DRS's launch settings.",
            (RUN,),
            is_reason=True,
        ),
    )
    PAUSE_EXPIRED = (
        "PAUSE_EXPIRED",
        Entry(
            "Nobody let the run go on within a year, or in the time that its gate gives for that.",
            "Start the plan again.",
            (RUN,),
            is_reason=True,
        ),
    )
    DOUBLE_LAUNCH = (
        "DOUBLE_LAUNCH",
        Entry(
            "One launch has two DRS jobs. The older one is the run's; instances of the newer one run and cost money.",
            "Terminate those of the newer job in DRS's console, keep the journal, and tell an administrator.",
            (RUN,),
            is_reason=True,
        ),
    )

    # What became of an instance that was to be terminated

    TERMINATION_FAILED = (
        "TERMINATION_FAILED",
        Entry(
            "DRS ended its job without terminating the instance.",
            "Look at it in DRS and EC2 (termination protection?), then terminate again.",
            (TERMINATION,),
        ),
    )
    TERMINATION_LOST = (
        "TERMINATION_LOST",
        Entry(
            "DRS has not shown the job of this termination for a day.",
            "Terminate again: DRS is asked what still stands, and only that is terminated.",
            (TERMINATION,),
            is_reason=True,
        ),
    )
    NOT_CONFIRMED = (
        "NOT_CONFIRMED",
        Entry(
            "AWS never confirmed the request.",
            "Terminate again: only what is left is requested.",
            (TERMINATION,),
            is_reason=True,
        ),
    )
    INSTANCE_NOT_KNOWN = (
        "INSTANCE_NOT_KNOWN",
        Entry(
            "DRS has not reported which instance the server was launched as.",
            "Terminate again, or look for the instance in the region yourself.",
            (TERMINATION,),
            is_reason=True,
        ),
    )
    UNKNOWN_TO_DRS = (
        "UNKNOWN_TO_DRS",
        Entry(
            "DRS does not list the instance any more, and nobody is known to have terminated it. It may run in EC2.",
            "Look for it in the EC2 console, and terminate it there if it runs.",
            (TERMINATION,),
            is_reason=True,
        ),
    )
    DRS_UNAVAILABLE = (
        "DRS_UNAVAILABLE",
        Entry(
            "DRS could not be asked, so nothing was changed.",
            "The message says whether it is the network, the credentials or the request. Correct that; try again.",
            (TERMINATION,),
        ),
    )
    DRS_THROTTLED = (
        "DRS_THROTTLED",
        Entry(
            "AWS throttles calls to DRS of this account in the region.",
            "Wait a little, then try again. If it lasts, find out in CloudTrail who else calls DRS.",
            (TERMINATION,),
            is_reason=True,
        ),
    )
    REGION_NOT_ENABLED = (
        "REGION_NOT_ENABLED",
        Entry(
            "The region is not enabled for this AWS account, DRS was never set up there, or the access key is gone.",
            "The message says which. Enable the region, set DRS up, or renew the credentials; then try again.",
            (TERMINATION,),
        ),
    )

    # What keeps a run from starting, or a command from doing anything

    PLAN_HAS_NO_WAVES = (
        "PLAN_HAS_NO_WAVES",
        Entry("The plan has no waves.", "Add one, then start again.", (START, READINESS)),
    )
    PLAN_ALREADY_EXECUTING = (
        "PLAN_ALREADY_EXECUTING",
        Entry(
            "The plan is running now, and runs once at a time.",
            "Follow that run; start again when it has ended, or cancel it.",
            (START, READINESS),
        ),
    )
    SERVER_CONFLICT = (
        "SERVER_CONFLICT",
        Entry(
            "An active run holds servers of this plan, or one of DRS's own recovery plans runs them.",
            "Wait for its end, or cancel it; one of DRS's own in the console of DRS.",
            (START, READINESS),
            heading="Held by an active run",
        ),
    )
    PRODUCTION_RUNNING = (
        "PRODUCTION_RUNNING",
        Entry(
            "Instances run that may be production, and a launch of their servers would terminate them.",
            "Look at each instance first. Who may terminate recoveries starts, or tries again, all the same by saying"
            " that production is replaced.",
            (START, RUN),
        ),
    )
    PRODUCTION_NOT_CHECKED = (
        "PRODUCTION_NOT_CHECKED",
        Entry(
            "The recovery was started although DRS did not tell which instances run in the region.",
            "Look in DRS's console whether the launch replaces an instance that serves production.",
            (START,),
        ),
    )
    NATIVE_RUNS_NOT_CHECKED = (
        "NATIVE_RUNS_NOT_CHECKED",
        Entry(
            "DRS did not tell which of its own recovery plans run in the region; one of them may be launching the same"
            " servers.",
            "Look in DRS's console for executions of recovery plans. Access denied: give the role the rights of"
            " deploy/iam/native-plans.json.",
            (START, READINESS),
        ),
    )
    EXECUTION_NOT_PAUSED = (
        "EXECUTION_NOT_PAUSED",
        Entry(
            "The run does not wait for a person, or by now waits before another wave.",
            "Read the run again, and resume what it waits for.",
            (START,),
        ),
    )
    GATE_NEEDS_APPROVALS = (
        "GATE_NEEDS_APPROVALS",
        Entry(
            "The run waits at a gate that needs approvals, which a resume does not pass.",
            "Have people other than whoever started the run approve it. Who may start recoveries can break the glass:"
            " everybody is told.",
            (START,),
        ),
    )
    GATE_CHANGED = (
        "GATE_CHANGED",
        Entry(
            "The run is not any more what was looked at: a wave or a server has changed since.",
            "Look at the gate again, and approve what it shows now.",
            (START,),
        ),
    )
    APPROVER_IS_STARTER = (
        "APPROVER_IS_STARTER",
        Entry(
            "Whoever started a run does not approve it.",
            "Ask somebody else, or break the glass if nobody else is there.",
            (START,),
        ),
    )
    WAVE_HAS_BEGUN = (
        "WAVE_HAS_BEGUN",
        Entry(
            "A launch of the wave was sent, or may have been, or the wave is over.",
            "Read the run again. What has been launched is terminated after the run's end.",
            (START,),
        ),
    )
    WAVE_NOT_RETRYABLE = (
        "WAVE_NOT_RETRYABLE",
        Entry(
            "The run is not paused after a failure of this wave, or no server of it has failed.",
            "Let the plan pause after failed waves (onFailure: PAUSE); when a run has ended, try the run again.",
            (START,),
        ),
    )
    WAVE_NOT_WAITING = (
        "WAVE_NOT_WAITING",
        Entry("The wave does not wait for a time.", "Read the run again: it may have begun.", (START,)),
    )
    SERVER_NOT_EXCLUDABLE = (
        "SERVER_NOT_EXCLUDABLE",
        Entry("It is the last server of its wave.", "Skip the wave instead.", (START,)),
    )
    EXECUTION_NOT_PAUSABLE = (
        "EXECUTION_NOT_PAUSABLE",
        Entry("There is no wave left to pause before.", "Let the run go on, or cancel it.", (START,)),
    )
    EXECUTION_NOT_CANCELLABLE = (
        "EXECUTION_NOT_CANCELLABLE",
        Entry("The run is over.", "If its instances are not needed, terminate them.", (START,)),
    )
    EXECUTION_NOT_ABANDONABLE = (
        "EXECUTION_NOT_ABANDONABLE",
        Entry(
            "The run does not wait for a region that has been silent for long enough.",
            "Wait, or cancel the run; the message says which.",
            (START,),
        ),
    )
    EXECUTION_NOT_RETRYABLE = (
        "EXECUTION_NOT_RETRYABLE",
        Entry(
            "The run cannot be tried again: it is not over, left nothing to launch, or was tried again already.",
            "The message says which. Else start the plan anew.",
            (START,),
        ),
    )
    EXECUTION_STILL_RUNNING = (
        "EXECUTION_STILL_RUNNING",
        Entry(
            "The run is active, or a later attempt counts on its instances.",
            "Let the run end, or cancel it; then ask again.",
            (START,),
        ),
    )
    REPORT_BEING_MADE = (
        "REPORT_BEING_MADE",
        Entry(
            "The report of a run of many servers is made by an engine, and is not there yet.",
            "Ask again in some seconds. The message says if no engine runs, or if it could not be made.",
            (START,),
        ),
    )
    LEFT_ALONE = (
        "LEFT_ALONE",
        Entry(
            "Its drill's lease was over, and no engine has terminated it, because it may run production by now.",
            "Look at the instance. Who may terminate recoveries terminates it all the same.",
            (TERMINATION,),
        ),
    )
    LEASE_NOT_EXTENDABLE = (
        "LEASE_NOT_EXTENDABLE",
        Entry(
            "There is no lease to extend: the run is no drill, is active, or has no instance left that is not being"
            " terminated; or the lease is longer already.",
            "The message says which.",
            (START,),
        ),
    )
