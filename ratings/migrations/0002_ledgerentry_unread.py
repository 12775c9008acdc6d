from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="ledgerentry",
            name="unread",
            field=models.JSONField(blank=True, default=dict, verbose_name="未能识别的填写内容"),
        ),
    ]
