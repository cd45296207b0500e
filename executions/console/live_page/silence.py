"""Why a run that is not over cannot be relied on to go on: AWS is silent or says no, or no engine runs."""

from datetime import datetime

from drs import errors
from executions.models import Execution
from executions.runs.account_check import aws_words, is_elsewhere, is_switched_off, is_taken_over
from executions.runs.silence.unresponsive_regions import is_unsaved
from executions.states import ExecutionStatus

# AWS answers, and says no: waiting does not help.
REFUSED = (errors.Trouble.ACCESS_DENIED, errors.Trouble.CREDENTIALS)


class Silence:
    """That side of what a page shows of a run."""

    execution: Execution
    engine_alive: bool
    state: ExecutionStatus

    @property
    def is_refused(self) -> bool:
        """Whether AWS says no, and does not only keep silent. `aws_error` is the text of a DrsError."""
        return any(errors.BY_CODE.get(part) in REFUSED for part in self.execution.aws_error.split(": "))

    @property
    def is_unsaved(self) -> bool:
        """Whether AWS answers, but the answer cannot be saved."""
        return is_unsaved(self.execution.aws_error)

    @property
    def is_elsewhere(self) -> bool:
        """Whether AWS is not asked, because the credentials are of another account than the run's servers."""
        return is_elsewhere(self.execution.aws_error)

    @property
    def is_switched_off(self) -> bool:
        """Whether AWS is not asked, because somebody has switched an account of the run off."""
        return is_switched_off(self.execution.aws_error)

    @property
    def is_taken_over(self) -> bool:
        """Whether AWS is not asked, because another installation of this product has taken over."""
        return is_taken_over(self.execution.aws_error)

    @property
    def aws_words(self) -> str:
        """Why the run waits for AWS: AWS's words, or ours where AWS is not to blame."""
        return aws_words(self.execution.aws_error)

    @property
    def silent_since(self) -> datetime | None:
        """Since when AWS has not answered, or has told nothing of this run."""
        return self.execution.failing_since or self.execution.stalled_since

    @property
    def silence(self) -> str:
        if self.execution.failing_since is None:
            return "Stalled: AWS has not shown this run's job since"
        if self.is_elsewhere:
            return "The engine's AWS credentials have been for another account since"
        if self.is_switched_off:
            return "An account of this run has been switched off since"
        if self.is_taken_over:
            return "Another installation is known to have taken over since"
        if self.is_unsaved:
            return "AWS answers, but the answer cannot be saved, since"
        return "AWS has refused requests since" if self.is_refused else "AWS has not answered since"

    @property
    def trouble(self) -> str:
        """Why a run that is not over cannot be relied on to go on; empty when all is well."""
        if self.state.is_final:
            return ""
        if not self.engine_alive:
            return "No engine is running, so this run does not advance."
        if self.silent_since is None:
            return ""
        if self.is_unsaved:
            return "Tell an administrator: the cause is in the engine's log."
        if self.is_elsewhere:
            return "An administrator must give the engine credentials for this run's account."
        if self.is_switched_off:
            return "An administrator must switch it on under Settings → Accounts."
        if self.is_taken_over:
            return "Go on with this run in the other installation."
        return "An administrator must fix the permissions." if self.is_refused else "Its current state is not known."
