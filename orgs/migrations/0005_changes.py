import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orgs", "0004_fewer_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="OrgChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("create", "新建"),
                            ("rename", "更名"),
                            ("reclassify", "调整类别"),
                            ("move", "转隶"),
                            ("merge", "合并"),
                            ("split", "分设"),
                            ("upgrade", "升格"),
                            ("close", "撤销"),
                            ("reopen", "恢复"),
                        ],
                        max_length=12,
                        verbose_name="变动类型",
                    ),
                ),
                ("effective_on", models.DateField(verbose_name="变动日期")),
                (
                    "document_number",
                    models.CharField(blank=True, max_length=60, verbose_name="文号"),
                ),
                ("reason", models.TextField(blank=True, verbose_name="事由")),
                ("data", models.JSONField(blank=True, default=dict, verbose_name="变动内容")),
                (
                    "at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="办理时间"
                    ),
                ),
                ("person_name", models.CharField(max_length=60, verbose_name="办理人")),
                ("unit_name", models.CharField(max_length=120, verbose_name="办理单位")),
            ],
            options={
                "verbose_name": "组织变动",
                "verbose_name_plural": "组织变动",
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="OrgChangePart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("source", "并入的"),
                            ("product", "分设出的"),
                            ("superior", "原上级"),
                        ],
                        max_length=10,
                        verbose_name="在变动中",
                    ),
                ),
            ],
            options={
                "verbose_name": "变动涉及的党组织",
                "verbose_name_plural": "变动涉及的党组织",
                "ordering": ("pk",),
            },
        ),
        migrations.AddField(
            model_name="organization",
            name="term_ends_on",
            field=models.DateField(blank=True, null=True, verbose_name="本届届满日期"),
        ),
        migrations.AddField(
            model_name="organization",
            name="term_started_on",
            field=models.DateField(blank=True, null=True, verbose_name="本届起始日期"),
        ),
        migrations.AddIndex(
            model_name="organization",
            index=models.Index(
                condition=models.Q(("closed_on", None), ("term_ends_on__isnull", False)),
                fields=["term_ends_on"],
                name="organization_term",
            ),
        ),
        migrations.AddField(
            model_name="orgchange",
            name="organization",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="changes",
                to="orgs.organization",
                verbose_name="党组织",
            ),
        ),
        migrations.AddField(
            model_name="orgchange",
            name="undoes",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="undone_by",
                to="orgs.orgchange",
                verbose_name="所撤回的变动",
            ),
        ),
        migrations.AddField(
            model_name="orgchangepart",
            name="change",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="parts",
                to="orgs.orgchange",
                verbose_name="组织变动",
            ),
        ),
        migrations.AddField(
            model_name="orgchangepart",
            name="organization",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="orgs.organization",
                verbose_name="党组织",
            ),
        ),
        migrations.AddConstraint(
            model_name="orgchangepart",
            constraint=models.UniqueConstraint(
                fields=("change", "organization"), name="part_once_in_a_change"
            ),
        ),
    ]
