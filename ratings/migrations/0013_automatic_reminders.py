import django.core.validators
from django.db import migrations, models


def days(**options):
    return models.PositiveSmallIntegerField(
        blank=True,
        null=True,
        validators=[django.core.validators.MaxValueValidator(60)],
        help_text="截止日前几天起由系统催报一次；逾期未报、整改措施逾期的每七天催报一次；"
        "不填则不自动催报",
        verbose_name="自动催报提前天数",
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0012_lineage"),
    ]

    operations = [
        # Without a default first: cycles that are there begin to remind when somebody says so.
        migrations.AddField(model_name="cycle", name="remind_days", field=days()),
        migrations.AlterField(model_name="cycle", name="remind_days", field=days(default=3)),
        migrations.AddField(
            model_name="cycle",
            name="token",
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name="修改序号"),
        ),
        migrations.AlterField(
            model_name="reminder",
            name="occasion",
            field=models.CharField(
                choices=[
                    ("near", "临近截止"),
                    ("late", "逾期未报"),
                    ("measures", "整改措施逾期"),
                ],
                default="late",
                max_length=10,
                verbose_name="事由",
            ),
        ),
    ]
