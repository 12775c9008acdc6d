"""The passwords of the accounts that are there count as used."""

from django.db import migrations


def remember(apps, schema_editor):
    User, FormerPassword = (apps.get_model("orgs", name) for name in ("User", "FormerPassword"))
    found = (
        (pk, password)
        for pk, password in User.objects.values_list("pk", "password").iterator()
        if password and not password.startswith("!")
    )
    FormerPassword.objects.bulk_create(
        (FormerPassword(user_id=pk, password=password) for pk, password in found),
        batch_size=2000,
    )


class Migration(migrations.Migration):
    dependencies = [("orgs", "0006_accounts")]

    operations = [migrations.RunPython(remember, migrations.RunPython.noop)]
