"""沿革: which row of the cycle before a row goes on from, and why it goes on from none.

The same organization goes on, renamed, moved or upgraded too. What came of a merger or a split
since the cycle before was opened, what was 免报 there, and what is new goes on from nothing: its
`origin` says so, and the rows it was made of (`former`) are shown as history, never proposed.
"""

from collections.abc import Collection
from datetime import datetime, time

from django.db import connection
from django.utils import timezone

from ledger_site.base.db import joined

from .models import Cycle

# A pair for each two organizations of a merger or a split, both ways. One that is merged into and
# had a row of its own is made of itself as well.
PAIRS = """
CREATE TEMPORARY TABLE lineage AS
WITH changes AS (
  SELECT c.organization_id AS one, p.organization_id AS other, c.kind AS sort
    FROM orgs_orgchange c JOIN orgs_orgchangepart p ON p.change_id = c.id
   WHERE c.at >= %s AND NOT EXISTS (SELECT 1 FROM orgs_orgchange u WHERE u.undoes_id = c.id)
     AND NOT EXISTS (SELECT 1 FROM orgs_orgchange d WHERE d.id = c.undoes_id AND d.at >= %s)
     AND ((c.kind = 'merge' AND p.role = 'source') OR (c.kind = 'split' AND p.role = 'product')))
SELECT one AS id, other, 'merged' AS origin, 'made' AS part FROM changes WHERE sort = 'merge'
UNION SELECT one, one, 'merged', 'made' FROM changes
  JOIN ratings_report r ON r.cycle_id = %s AND r.organization_id = one AND r.is_rated
 WHERE sort = 'merge'
UNION SELECT other, one, 'merged', 'joined' FROM changes WHERE sort = 'merge'
UNION SELECT other, one, 'split', 'made' FROM changes WHERE sort = 'split'
UNION SELECT one, other, 'split', 'gave' FROM changes WHERE sort = 'split'
"""

FORMER = """
INSERT INTO ratings_report_former (from_report_id, to_report_id)
WITH RECURSIVE
  made (id, other) AS (
    SELECT id, other FROM lineage WHERE part = 'made'
    UNION SELECT made.id, l.other FROM made JOIN lineage l ON l.id = made.other
     WHERE l.part = 'made'),
  old (id, other) AS (SELECT id, other FROM made UNION SELECT id, id FROM lineage)
SELECT r.id, b.id
  FROM old
  JOIN ratings_report r ON r.cycle_id = %s AND r.organization_id = old.id AND r.is_rated
  JOIN ratings_report b ON b.cycle_id = %s AND b.organization_id = old.other AND b.is_rated
 WHERE {among}
ON CONFLICT DO NOTHING
"""

# “由甲支部、乙支部合并；分设出丙支部”
TEXTS = """
CREATE TEMPORARY TABLE origins AS
WITH
  named AS (
    SELECT l.id, l.origin, o.short_name AS name, o.lft AS place,
           CASE WHEN l.part = 'joined' AND s.closed_on IS NOT NULL THEN 'closed' ELSE l.part END
             AS part
      FROM lineage l JOIN orgs_organization o ON o.id = l.other
      JOIN orgs_organization s ON s.id = l.id
     ORDER BY l.id, o.lft),
  said AS (
    SELECT id, origin, part, {names} AS names FROM named
     GROUP BY id, origin, part ORDER BY id, origin, part),
  phrased AS (
    SELECT id, origin, part, CASE
        WHEN part = 'gave' THEN '分设出' || names
        WHEN part = 'closed' THEN '并入' || names
        WHEN part = 'joined' THEN '曾并入' || names || '，后恢复'
        WHEN origin = 'split' THEN '由' || names || '分设'
        ELSE '由' || names || '合并' END AS phrase
      FROM said)
SELECT id, MIN(origin) AS origin, {phrases} AS text FROM phrased GROUP BY id
"""

APART = """
UPDATE ratings_report AS r SET previous_id = NULL,
  origin = (SELECT s.origin FROM origins s WHERE s.id = r.organization_id),
  origin_text = (SELECT s.text FROM origins s WHERE s.id = r.organization_id)
 WHERE cycle_id = %s AND organization_id IN (SELECT id FROM origins) AND {among}
"""

# Steps end before 9999, so that this bounds what is below a path.
UNDER_EXCUSED = """
UPDATE ratings_report AS r SET previous_id = NULL, origin = 'excused', origin_text = (
  SELECT '上期随“' || e.short_name || '”免报'
    FROM ratings_report b JOIN ratings_report e
      ON e.cycle_id = b.cycle_id AND b.path > e.path AND b.path < e.path || '9999'
   WHERE b.id = r.previous_id AND 'excused' = e.state
   ORDER BY e.path LIMIT 1)
 WHERE cycle_id = %s AND previous_id IN (
  SELECT b.id FROM ratings_report e JOIN ratings_report b
      ON b.cycle_id = e.cycle_id AND b.path > e.path AND b.path < e.path || '9999'
   WHERE e.cycle_id = %s AND 'excused' = e.state AND e.has_subordinates)
 AND {among}
"""

# Of what a change in mid-cycle concerned: as if no change had set it apart.
AFRESH = """
UPDATE ratings_report AS r SET
  previous_id = (SELECT b.id FROM ratings_report b
    WHERE b.cycle_id = %s AND b.organization_id = r.organization_id
      AND NOT (b.is_row_excused OR 'excused' = b.state)),
  origin = CASE WHEN EXISTS (SELECT 1 FROM ratings_report b
    WHERE b.cycle_id = %s AND b.organization_id = r.organization_id)
    THEN CASE r.origin WHEN 'excused' THEN r.origin ELSE '' END ELSE 'new' END,
  origin_text = CASE WHEN EXISTS (SELECT 1 FROM ratings_report b
    WHERE b.cycle_id = %s AND b.organization_id = r.organization_id)
    THEN CASE r.origin WHEN 'excused' THEN r.origin_text ELSE '' END ELSE '新建' END
 WHERE cycle_id = %s AND {among}
"""


def link(cycle: Cycle, among: Collection[int] | None = None) -> None:
    """Part the reports of a cycle from the ones before that they do not go on from.

    `among` names organizations that a change in mid-cycle concerned; without it all, as at the
    opening. What was merged or split and undone goes on as if nothing had been. A fixed number of
    statements, whatever the size of the cycle.
    """
    if cycle.previous_id is None:
        return
    keys = "TRUE"
    if among is not None:
        keys = f"r.organization_id IN ({', '.join(str(int(key)) for key in among) or 0})"
    before, opened = cycle.previous_id, _opening_of(cycle.previous)
    with connection.cursor() as cursor:
        if among is not None:
            cursor.execute(AFRESH.format(among=keys), [before, before, before, cycle.pk])
        cursor.execute(UNDER_EXCUSED.format(among=keys), [cycle.pk, before])
        cursor.execute(PAIRS, [opened, opened, before])
        cursor.execute(FORMER.format(among=keys), [cycle.pk, before])
        names, phrases = joined("name", "、", "place"), joined("phrase", "；", "origin, part")
        cursor.execute(TEXTS.format(names=names, phrases=phrases))
        cursor.execute(APART.format(among=keys), [cycle.pk])
        cursor.execute("DROP TABLE origins")
        cursor.execute("DROP TABLE lineage")


def _opening_of(cycle: Cycle):
    """The moment since which changes set a row apart from that of the cycle."""
    moment = cycle.opened_at or timezone.make_aware(datetime.combine(cycle.opened_on, time.min))
    return connection.ops.adapt_datetimefield_value(moment)
