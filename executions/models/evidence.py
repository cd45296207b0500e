"""From what a server is launched, and what tells whether it really came up."""

from collections.abc import Mapping

from django.db import models


class Evidence(models.Model):
    """Columns of a server's run: the snapshot chosen for it, its instance, EC2's status checks of it, and what DRS ran
    on it."""

    recovery_snapshot_id = models.CharField(
        max_length=21, blank=True, default="", db_default="", help_text="Chosen at the start to be launched from"
    )
    snapshot_at = models.DateTimeField(null=True, help_text="The time of that snapshot")
    recovery_instance_id = models.CharField(max_length=19, blank=True)
    system_check = models.CharField(
        max_length=8, blank=True, default="", db_default="", help_text="EC2's status check of the host; empty: not told"
    )
    instance_check = models.CharField(
        max_length=8, blank=True, default="", db_default="", help_text="EC2's status check of the instance itself"
    )
    checks_passed_at = models.DateTimeField(null=True, help_text="When both were first seen to have passed")
    usable_at = models.DateTimeField(null=True, help_text="Since when it is up: checks passed, required actions done")
    usable_late = models.PositiveIntegerField(null=True, help_text="At most so many seconds before usable_at it was up")
    launch_actions = models.JSONField(null=True, help_text="What DRS ran on the instance, and how that went")

    # Set by whoever shows it: that it is not launched any more, and why, where its wave does not say so by itself.
    is_never_launched = False
    never_sent = ""

    class Meta:
        abstract = True

    @property
    def told_checks(self) -> str:
        """EC2's status checks in a few words."""
        return ", ".join(f"{name} {status}" for name, status in (self.status_checks or {}).items())

    @property
    def check_words(self) -> str:
        """How far it is with coming up, for the page; empty while nobody has asked EC2."""
        if self.usable_at is not None:
            return "usable"
        if self.checks_passed_at is not None:
            return "checks passed"
        told = {self.system_check, self.instance_check} - {""}
        worst = next((each for each in ("IMPAIRED", "UNKNOWN", "PENDING") if each in told), "")
        return f"checks {worst.lower()}" if worst else ""

    @property
    def status_checks(self) -> dict[str, str] | None:
        """EC2's status checks; None without an instance."""
        if not self.recovery_instance_id:
            return None
        return {"system": self.system_check or "UNKNOWN", "instance": self.instance_check or "UNKNOWN"}

    @property
    def required_actions(self) -> list[dict[str, object]]:
        """Post-launch actions that must succeed."""
        return [each for each in self.launch_actions or [] if not each["optional"]]

    @property
    def told_actions(self) -> list[dict[str, object]]:
        """What DRS ran on the instance, a sentence each; what has failed first."""
        told = [
            {"text": _sentence(each), "is_bad": each["status"] == "FAILED" and not each["optional"]}
            for each in self.launch_actions or []
        ]
        return sorted(told, key=lambda each: not each["is_bad"])


def _sentence(action: Mapping[str, object]) -> str:
    optional = " (optional)" if action["optional"] else ""
    reason = f": {action['failureReason']}" if action["failureReason"] else ""
    return f"Post-launch action “{action['name']}”{optional} {str(action['status']).lower().replace('_', ' ')}{reason}."
