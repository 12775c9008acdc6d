from django.conf import settings
from django.core.validators import MinLengthValidator
from django.db import models

from ratings.models import Report

from .choices import WeakReason


class WeakMark(models.Model):
    """软弱涣散: a superior's word on a direct subordinate in a cycle, beside its grade."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="weak_marks", db_index=False, verbose_name="报送件"
    )
    reasons = models.JSONField("原因", default=list)  # of `WeakReason`
    note = models.TextField("说明", validators=(MinLengthValidator(1),))
    marked_on = models.DateField("认定日期")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="认定人"
    )
    person_name = models.CharField("认定人姓名", max_length=60)
    lifted_on = models.DateField("取消日期", null=True)
    lifted_by = models.CharField("取消人", max_length=60, blank=True)
    lift_reason = models.TextField("取消理由", blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "软弱涣散认定"
        constraints = (
            models.UniqueConstraint(
                fields=("report",),
                condition=models.Q(lifted_on=None),
                name="weak_mark_once",
                violation_error_message="已经认定为软弱涣散",
            ),
        )

    def __str__(self):
        return f"{self.report}：{self.reasons_text}"

    @property
    def reasons_text(self) -> str:
        return "、".join(WeakReason(reason).label for reason in self.reasons)
