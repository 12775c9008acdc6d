"""What organizations are found by, and PostgreSQL's index for looking into it."""

import django.db.models.deletion
from django.db import migrations, models

from orgs.names import initials_of

PIECE = 5000

# Pairs of neighbouring characters. Trigrams, which PostgreSQL brings along, do not serve the two
# characters that most Chinese terms have, nor any Chinese where the cluster's locale is C.
FUNCTION = """
CREATE FUNCTION ledger_grams(text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ARRAY(
    SELECT DISTINCT substr(lower($1), i, 2) FROM generate_series(1, length($1) - 1) AS i)
$$
"""
INDEX = """
CREATE INDEX search_grams ON orgs_searchtext USING gin (ledger_grams(text))
"""


def fill(apps, schema_editor):
    Organization = apps.get_model("orgs", "Organization")
    SearchText = apps.get_model("orgs", "SearchText")
    former = {}
    kept = apps.get_model("orgs", "FormerName").objects
    for pk, *names in kept.values_list("organization", "name", "short_name"):
        former.setdefault(pk, []).extend(names)
    waiting = Organization.objects.filter(search=None).order_by()
    while piece := list(waiting.only("name", "short_name", "code")[:PIECE]):
        texts = []
        for one in piece:
            one.initials = initials_of(one.short_name)
            names = (one.name, one.short_name, one.initials, one.code, *former.get(one.pk, ()))
            texts.append(SearchText(organization=one, text="\n".join(names).lower()))
        Organization.objects.bulk_update(piece, ["initials"], batch_size=200)
        SearchText.objects.bulk_create(texts)


def index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)
        schema_editor.execute(INDEX)


def unindex(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX search_grams")
        schema_editor.execute("DROP FUNCTION ledger_grams(text)")


class Migration(migrations.Migration):
    dependencies = (("orgs", "0002_initials"),)
    operations = (
        migrations.CreateModel(
            name="SearchText",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="search",
                        serialize=False,
                        to="orgs.organization",
                        verbose_name="党组织",
                    ),
                ),
                ("text", models.TextField(verbose_name="查找文字")),
            ],
            options={"verbose_name": "查找文字", "verbose_name_plural": "查找文字"},
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(index, unindex),
    )
