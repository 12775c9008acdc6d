"""Initials for the organizations there are, and PostgreSQL's index for looking into names."""

from django.db import migrations

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
CREATE INDEX organization_grams ON orgs_organization
USING gin (ledger_grams(name || ' ' || short_name || ' ' || initials))
"""


def fill(apps, schema_editor):
    Organization = apps.get_model("orgs", "Organization")
    waiting = Organization.objects.filter(initials="").order_by()
    while piece := list(waiting.exclude(short_name="").only("short_name")[:PIECE]):
        for organization in piece:
            organization.initials = initials_of(organization.short_name)
        Organization.objects.bulk_update(piece, ["initials"], batch_size=200)


def index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)
        schema_editor.execute(INDEX)


def unindex(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX organization_grams")
        schema_editor.execute("DROP FUNCTION ledger_grams(text)")


class Migration(migrations.Migration):
    dependencies = (("orgs", "0002_initials"),)
    operations = (
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(index, unindex),
    )
