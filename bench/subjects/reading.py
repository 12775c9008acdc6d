"""What people look at when a cycle is done: summary, pages, workbook."""

import re
import statistics
import tempfile
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Count
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ledger_site.base.trail import WithoutUnit
from orgs.choices import Role
from orgs.models import Organization, User
from orgs.posts import system_post
from orgs.services import appoint
from ratings import exports
from ratings.choices import Form
from ratings.models import LedgerEntry, Report
from ratings.querysets import below
from ratings.summary import recount, summarize

from .ground import root, timed

OK = 200
ASKED = 20  # times for each page


def summary(data: Path) -> list:
    top = root()

    def by_child():
        for path in Report.objects.filter(parent=top).values_list("path", flat=True):
            rows = Report.objects.filter(below(path), cycle=top.cycle_id, is_rated=True)
            list(rows.order_by().values_list("entry__reviewed_grade").annotate(n=Count("pk")))

    ours = statistics.median(timed(lambda: summarize(top)) for _ in range(15))
    grouped = statistics.median(timed(lambda: recount(top)) for _ in range(3))
    each = statistics.median(timed(by_child) for _ in range(3))
    return [
        ("from stored totals", ours, 1.0, ""),
        ("GROUP BY over the rows", grouped, grouped / ours, "核对"),
        ("one query a subordinate", each, each / ours, ""),
    ]


# ---------------------------------------------------------------- pages

LEDGER, PLANS = "/2012-1/ledger/", "/2012-1/rectification/"


def _pages(client, own: Report) -> dict[str, str]:
    """Addresses by name, those of a list named after it; rare is what few rows have."""
    rare = _rarest(own)
    return {
        "工作台": "/",
        "台账，首页": LEDGER,
        "台账，第二页": LEDGER + _second(client),
        "台账，末页": f"{LEDGER}?page=last",
        "台账，审核较差": f"{LEDGER}?reviewed=poor",
        "台账，申报较差": f"{LEDGER}?declared=poor",
        "台账，领域": f"{LEDGER}?{urlencode({'category': rare['category']})}",
        "台账，单位": f"{LEDGER}?unit={rare['unit']}",
        "台账，填报中（没有）": f"{LEDGER}?state=draft",
        "台账，逾期（没有）": f"{LEDGER}?overdue=on",
        "查找，少见": f"{LEDGER}?q=土市村",
        "查找，常见": f"{LEDGER}?q=村党支部",
        "查找，没有": f"{LEDGER}?q=无此村名",
        "查找，拼音": f"{LEDGER}?q=tscdz",
        "下级审核": "/2012-1/review/",
        "汇总": "/2012-1/summary/",
        "整改": PLANS,
        "整改，帮扶（少见）": f"{PLANS}?{urlencode({'helper': rare['helper']})}",
        "整改，帮扶（没有）": f"{PLANS}?helper=无此单位",
        "整改，已到期": f"{PLANS}?due=overdue",
        "整改，以后到期（没有）": f"{PLANS}?due=later",
        "组织，查找": "/organizations/?q=土市村",
    }


def _rarest(own: Report) -> dict:
    """The category and the helper that the fewest rows below have, the last direct subordinate."""
    rows = Report.objects.below(own).filter(is_rated=True).order_by()
    entries = LedgerEntry.objects.filter(report__in=rows).exclude(support_unit="").order_by()

    def fewest(found, name):
        found = found.exclude(**{name: None}).values_list(name).annotate(n=Count("pk"))
        return found.order_by("n", name)[0][0]

    return {
        "category": fewest(rows, "category__sheet_row"),
        "helper": fewest(entries, "support_unit"),
        "unit": Report.objects.filter(parent=own).order_by("path").last().pk,
    }


def _second(client) -> str:
    found = re.search(r'href="(\?after=[^"]+)"', client.get(LEDGER).content.decode())
    return unescape(found[1]) if found else ""


def pages(data: Path) -> list:
    """Through all of Django, no network: median and 95th percentile for province and county."""
    top = Organization.objects.get(parent=None)
    counties = Organization.objects.filter(level=2).order_by("lft")
    county = counties.filter(name__endswith="县委员会").last() or counties.last()
    figures: dict[str, list] = {}
    for unit in (top, county):
        user = User.objects.create_user(f"bench{unit.pk}", full_name="测量")
        appoint(user, unit, *Role.values, by=WithoutUnit())
        client = Client(HTTP_HOST="localhost")
        client.force_login(user)
        for name, address in _pages(client, Report.objects.get(organization=unit)).items():
            figures.setdefault(name, []).append(_asked(client, address))
    return [
        (
            name,
            *(1000 * seconds for *times, _ in found for seconds in times),
            max(queries for *_, queries in found),
        )
        for name, found in figures.items()
    ]


def _asked(client, address: str) -> tuple[float, float, int]:
    """Median and 95th percentile of the seconds, number of queries."""
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        if client.get(address).status_code != OK:
            raise SystemExit(f"{address}: no page")
    queries = len(captured)  # the next request empties the log
    times = [timed(partial(client.get, address)) for _ in range(ASKED)]
    return statistics.median(times), statistics.quantiles(times, n=20)[-1], queries


# ---------------------------------------------------------------- workbook


def export(data: Path) -> list:
    top, done = root(), []
    post = system_post(top.organization)
    with tempfile.TemporaryFile() as file:
        seconds = timed(lambda: done.append(exports.write(Form.ANNEX3, top, post, file)))
        size = file.tell() / 1e6
    return [
        ("附件三", seconds, 1e6 * seconds / done[0], f"µs a row, {done[0]} rows, {size:.0f} MB")
    ]
