"""The site: one page that leads to every report, and an Atom feed beside it, written anew after every report.

It is static and whole in itself: it opens from a file, asks for nothing, and reads without its script, which only
narrows the list. Every text in it may come from a user or from data, so all of it is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, unquote

from mlprod_nb import locks
from mlprod_nb.clock import iso
from mlprod_nb.results import Result, counted, shown_path
from mlprod_nb.results.page import unbroken
from mlprod_nb.store import Store, report_index
from mlprod_nb.store.report_index import ReportRecord

PAGE = "index.html"
FEED = "feed.xml"
#: How many reports the page lists, and the feed; older ones stay where they are.
LISTED = 500
FED = 50
#: How many verdicts a sparkline shows.
SHOWN = 30

_FOLDER = Path(__file__).resolve().parent
_TEMPLATE = _FOLDER / "template"
_WORDS = {"ok": "OK", "warn": "Warning", "alarm": "Alarm", "failed": "Failed"}
_GRAVITY = ("alarm", "failed", "warn", "ok")
_FAILED = re.compile(r"(\d{8}T\d{6}Z)-failed(?:-\d+)?")
_HEADING = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
#: The heading of a page stands behind its style sheet, long before this many characters.
_HEAD = 100_000
#: What XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets).
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class SiteResult(Result):
    """The site was written.

    Attributes:
        page: The page that leads to every report.
        feed: The Atom feed of the newest.
        reports: How many reports came to a verdict.
        failed: How many did not.
    """

    page: Path
    feed: Path
    reports: int
    failed: int

    def headline(self) -> str:
        """Say how many reports it leads to."""
        return f"{shown_path(self.page)} leads to {counted(self.reports + self.failed, 'report')}."


@dataclass(frozen=True)
class Entry:
    """One report as the site shows it.

    Attributes:
        endpoint: The endpoint it is about.
        kind: Which report.
        status: ``ok``, ``warn`` or ``alarm``; ``failed`` where it came to no verdict.
        sentence: Its verdict, or what failed.
        href: Its page's address, from the site's page.
        digest: Its digest; empty where it failed.
        approvals: How many approved it.
        at: When it was made.
    """

    endpoint: str
    kind: str
    status: str
    sentence: str
    href: str
    digest: str
    approvals: int
    at: datetime

    @property
    def word(self) -> str:
        """Its status as a word."""
        return _WORDS[self.status]

    @property
    def moment(self) -> str:
        """When it was made, for people."""
        return self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")

    @property
    def stamp(self) -> str:
        """When it was made, for machines."""
        return iso(self.at)

    @property
    def short(self) -> str:
        """What is typed of its digest."""
        return self.digest[: report_index.SHORT]


@dataclass(frozen=True)
class Series:
    """All reports of one kind about one endpoint, the newest first."""

    entries: tuple[Entry, ...]

    @property
    def latest(self) -> Entry:
        """The newest."""
        return self.entries[0]

    @property
    def told(self) -> str:
        """What the sparkline shows, in words."""
        runs = [(word, len(list(some))) for word, some in groupby(entry.word for entry in self._drawn)]
        said = ", ".join(word if number == 1 else f"{word} {number} times" for word, number in runs)
        return f"The last {counted(len(self._drawn), 'report')}, oldest first: {said}"

    @property
    def marks(self) -> list[tuple[int, str]]:
        """Where each mark of the sparkline stands, and what it means."""
        return [(8 * index, entry.status) for index, entry in enumerate(self._drawn)]

    @property
    def _drawn(self) -> tuple[Entry, ...]:
        return self.entries[:SHOWN][::-1]


@dataclass(frozen=True)
class Listing:
    """The newest reports of a workspace.

    Attributes:
        entries: At most ``LISTED`` of them, the newest first.
        known: How many came to a verdict.
        failed: How many did not.
        left_out: How many are not listed.
    """

    entries: tuple[Entry, ...]
    known: int
    failed: int
    left_out: int


def listing(store: Store, folder: Path) -> Listing:
    """Return the newest reports: those in the index, and the folder's own that came to no verdict."""
    with store.read() as connection:
        records = report_index.list_reports(connection, limit=LISTED)
        known = report_index.count(connection)
    came_to_none = failed(folder)
    found = sorted((*_succeeded(records, folder), *came_to_none), key=lambda entry: entry.at, reverse=True)
    left_out = known - len(records) + max(len(found) - LISTED, 0)
    return Listing(tuple(found[:LISTED]), known, len(came_to_none), left_out)


def build(store: Store, folder: Path, *, title: str, base: str = "") -> SiteResult:
    """Write the site of a folder of reports anew.

    Args:
        store: The state database, which holds the index of reports.
        folder: The folder of reports.
        title: What the workspace is called.
        base: Address at which the folder that holds ``folder`` is served, for the feed's links; empty: relative ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Whoever writes last must have read last, or the newest report would be missing.
    with locks.held(folder):
        found = listing(store, folder)
        _replace(folder / PAGE, _page(title, found.entries, found.left_out))
        _replace(folder / FEED, _feed(title, found.entries[:FED], f"{base.rstrip('/')}/{folder.name}/" if base else ""))
    return SiteResult(folder / PAGE, folder / FEED, found.known, found.failed)


def _succeeded(records: Sequence[ReportRecord], folder: Path) -> Iterator[Entry]:
    for record in records:
        path = Path(record.path).relative_to(folder.name)
        # The evidence may have been removed; the index still knows what it said.
        href = _address(path / PAGE) if (folder / path / PAGE).is_file() else ""
        yield Entry(
            endpoint=record.endpoint,
            kind=record.kind,
            status=record.status,
            sentence=record.sentence,
            href=href,
            digest=record.digest,
            approvals=record.approvals,
            at=record.created_at,
        )


def failed(folder: Path, *, newest: int | None = None) -> list[Entry]:
    """Return the reports that came to no verdict, which the index does not hold, the newest first.

    Args:
        folder: The folder of reports.
        newest: How many at most; only their pages are read. By default all.
    """
    pages = [
        (stamp.group(1), page)
        for page in folder.glob(f"*/*/*-failed*/{PAGE}")
        if (stamp := _FAILED.fullmatch(page.parent.name))
    ]
    return [_failure(folder, page, stamp) for stamp, page in sorted(pages, reverse=True)[:newest]]


def _failure(folder: Path, page: Path, stamp: str) -> Entry:
    endpoint, kind, *_ = page.relative_to(folder).parts
    with page.open(encoding="utf-8", errors="replace") as file:
        heading = _HEADING.search(file.read(_HEAD))
    return Entry(
        endpoint=unquote(endpoint),
        kind=unquote(kind),
        status="failed",
        sentence=html.unescape(heading.group(1)) if heading else "It came to no verdict.",
        href=_address(page.relative_to(folder)),
        digest="",
        approvals=0,
        at=datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )


def _address(path: Path) -> str:
    # A first part with a colon would be read as a scheme; quote() leaves none.
    return quote(path.as_posix())


def _series(entries: Sequence[Entry]) -> list[Series]:
    """Return the entries by endpoint and kind, what needs a reader first."""

    def name(entry: Entry) -> tuple[str, str]:
        return entry.endpoint, entry.kind

    found = [Series(tuple(some)) for _, some in groupby(sorted(entries, key=name), key=name)]
    return sorted(found, key=lambda series: _GRAVITY.index(series.latest.status))


def _page(title: str, entries: Sequence[Entry], left_out: int) -> str:
    from jinja2 import Environment, FileSystemLoader

    styles = [_FOLDER.parent / "reports" / "template" / "style.css", _TEMPLATE / "site.css"]
    series = _series(entries)
    environment = Environment(loader=FileSystemLoader(_TEMPLATE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["unbroken"] = unbroken
    return environment.get_template("site.html.j2").render(
        title=title,
        entries=entries,
        series=series,
        left_out=left_out,
        feed=FEED,
        summary=_summary(series),
        style="\n".join(style.read_text(encoding="utf-8") for style in styles),
        script=_script(),
        policy=policy(),
    )


def policy() -> str:
    """Return the content security policy of the page: it lets its own script run, this very text, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _script() -> str:
    return (_TEMPLATE / "find.js").read_text(encoding="utf-8").strip()


def _summary(series: Sequence[Series]) -> str:
    if not series:
        return "There is no report yet."
    now = [one.latest.status for one in series]
    told = {
        "alarm": counted(now.count("alarm"), "alarm"),
        "failed": f"{now.count('failed')} failed",
        "warn": counted(now.count("warn"), "warning"),
        "ok": f"{now.count('ok')} OK",
    }
    found = ", ".join(told[status] for status in _GRAVITY if status in now)
    return f"The newest of {counted(len(series), 'kind')} of report: {found}."


def _feed(title: str, entries: Sequence[Entry], base: str) -> str:
    """Return an Atom feed (RFC 4287) of the newest reports."""
    updated = iso(entries[0].at) if entries else "1970-01-01T00:00:00Z"
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<title>Reports of {_xml(title)}</title>\n<id>{_identifier('site', title)}</id>\n"
        f"<updated>{updated}</updated>\n<author><name>mlprod</name></author>\n"
        f'<link rel="alternate" type="text/html" href="{_xml(base)}{PAGE}"/>\n'
        f'<link rel="self" type="application/atom+xml" href="{_xml(base)}{FEED}"/>\n'
    )
    return head + "".join(_fed(entry, base) for entry in entries) + "</feed>\n"


def _fed(entry: Entry, base: str) -> str:
    link = f'<link rel="alternate" type="text/html" href="{_xml(base + entry.href)}"/>' if entry.href else ""
    # An entry without a link to what it sums up must be whole in itself (RFC 4287, 4.1.2).
    said = "summary" if entry.href else "content"
    return (
        f"<entry><title>{_xml(f'{entry.word}: {entry.endpoint} {entry.kind}')}</title>"
        f"<id>{_identifier(entry.endpoint, entry.kind, entry.digest, entry.stamp)}</id>"
        f'<updated>{entry.stamp}</updated>{link}<category term="{entry.status}"/>'
        f"<{said}>{_xml(entry.sentence)}</{said}></entry>\n"
    )


def _identifier(*parts: str) -> str:
    """Return an identifier that is the same whenever the feed is written (RFC 4122, version 5)."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join(parts).encode('utf-8', 'replace').decode())}"


def _xml(text: str) -> str:
    return html.escape(_NO_XML.sub("\ufffd", text))


def _replace(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, whole."""
    temporary = file.with_name(f".{file.name}-{uuid.uuid4().hex[:12]}")
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
