from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0008_notice_files"),
    ]

    operations = [
        migrations.CreateModel(
            name="Score",
            fields=[
                (
                    "entry",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="score",
                        serialize=False,
                        to="ratings.ledgerentry",
                        verbose_name="台账行",
                    ),
                ),
                ("points", models.JSONField(default=dict, verbose_name="分数")),
                (
                    "asked_count",
                    models.PositiveIntegerField(null=True, verbose_name="征求意见人数"),
                ),
                (
                    "satisfied_count",
                    models.PositiveIntegerField(null=True, verbose_name="满意人数"),
                ),
                ("red_lines", models.JSONField(default=dict, verbose_name="适用的红线")),
                ("token", models.PositiveIntegerField(default=0, verbose_name="修改序号")),
            ],
            options={
                "verbose_name": "评分",
                "verbose_name_plural": "评分",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("asked_count", None), ("satisfied_count", None)),
                            models.Q(
                                ("asked_count__gt", 0),
                                ("asked_count__isnull", False),
                                ("satisfied_count__isnull", False),
                                ("satisfied_count__lte", models.F("asked_count")),
                            ),
                            _connector="OR",
                        ),
                        name="score_satisfied_are_asked",
                        violation_error_message="满意人数不能多于征求意见人数",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ScoreSheet",
            fields=[
                (
                    "cycle",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="score_sheet",
                        serialize=False,
                        to="ratings.cycle",
                        verbose_name="批次",
                    ),
                ),
                ("is_used", models.BooleanField(default=True, verbose_name="启用")),
                ("is_scored", models.BooleanField(default=False, verbose_name="已有评分")),
                ("token", models.PositiveIntegerField(default=0, verbose_name="修改序号")),
                ("indicators", models.JSONField(verbose_name="指标")),
                (
                    "self_weight",
                    models.PositiveSmallIntegerField(default=30, verbose_name="自评权重"),
                ),
                (
                    "members_weight",
                    models.PositiveSmallIntegerField(default=30, verbose_name="党员测评权重"),
                ),
                (
                    "superior_weight",
                    models.PositiveSmallIntegerField(default=40, verbose_name="上级评分权重"),
                ),
                (
                    "good_from",
                    models.DecimalField(
                        decimal_places=1,
                        default=Decimal("90"),
                        max_digits=4,
                        verbose_name="“好”的最低分",
                    ),
                ),
                (
                    "fairly_good_from",
                    models.DecimalField(
                        decimal_places=1,
                        default=Decimal("80"),
                        max_digits=4,
                        verbose_name="“较好”的最低分",
                    ),
                ),
                (
                    "average_from",
                    models.DecimalField(
                        decimal_places=1,
                        default=Decimal("60"),
                        max_digits=4,
                        verbose_name="“一般”的最低分",
                    ),
                ),
                (
                    "satisfaction_floor",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="群众满意度下限"
                    ),
                ),
                ("red_lines", models.JSONField(default=list, verbose_name="红线")),
                ("quotas", models.JSONField(default=dict, verbose_name="比例上限")),
            ],
            options={
                "verbose_name": "评分表",
                "verbose_name_plural": "评分表",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "self_weight",
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        models.Value(100), "-", models.F("members_weight")
                                    ),
                                    "-",
                                    models.F("superior_weight"),
                                ),
                            )
                        ),
                        name="score_weights_are_a_whole",
                        violation_error_message="三项权重合计应为100",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("average_from__gt", 0),
                            ("fairly_good_from__gt", models.F("average_from")),
                            ("good_from__gt", models.F("fairly_good_from")),
                            ("good_from__lte", 100),
                        ),
                        name="score_thresholds_fall",
                        violation_error_message="最低分应由“好”到“一般”依次降低，在0和100之间",
                    ),
                ],
            },
        ),
    ]
