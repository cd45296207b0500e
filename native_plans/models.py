"""What we know of a plan's copy in DRS. AWS is asked only when somebody looks, writes it, or an engine compares."""

from django.db import models

from plans.models import RecoveryPlan


class Mirror(models.Model):
    """The copy of a plan as recovery plans of DRS, once somebody has had it written, or the plan says that it is to be
    kept there. It outlives the plan until engines have removed the copy."""

    plan = models.OneToOneField(
        RecoveryPlan, on_delete=models.SET_NULL, null=True, related_name="mirror", db_constraint=False
    )
    key = models.UUIDField(null=True, help_text="Of the plan, also when that is gone")
    name = models.CharField(max_length=128, blank=True, default="", db_default="", help_text="Of the plan, then")
    writing_since = models.DateTimeField(null=True, help_text="A write was begun, and nobody has seen it end")
    version = models.PositiveIntegerField(null=True, help_text="Of the plan that was last written whole")
    digest = models.CharField(max_length=64, blank=True, help_text="Of what was last written whole")
    written_at = models.DateTimeField(null=True)
    compared_at = models.DateTimeField(null=True, help_text="When DRS was last asked what it has")
    differs = models.JSONField(default=list, help_text="What DRS had otherwise then, in sentences")
    places = models.JSONField(null=True, help_text="Accounts and regions where there is, or may be, a copy")
    kept = models.BooleanField(default=False, db_default=False, help_text="Whether engines keep it in step")
    tries = models.PositiveIntegerField(default=0, db_default=0, help_text="Of engines, since the last that succeeded")
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="", db_default="", help_text="What AWS said to the last try")

    def __str__(self) -> str:
        return f"{self.name} in DRS"
