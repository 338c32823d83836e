"""The site leads to every report, is whole in itself, and is written anew after every report."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from xml.etree import ElementTree

from mlprod_nb.site import building as site
from mlprod_nb.store import Store
from tests.reports.hostile import HOSTILE
from tests.site.indexed import add, build, fail, record

ATOM = "{http://www.w3.org/2005/Atom}"


def rows(content: str) -> list[str]:
    return content.split('id="all"')[1].split("<tbody>")[1].split("<tr>")[1:]


def entries(root: Path) -> list[ElementTree.Element]:
    return ElementTree.parse(root / "reports" / "feed.xml").getroot().findall(f"{ATOM}entry")


def test_every_report_is_listed_the_newest_first_with_what_it_says(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, record(1), record(2, "alarm"), record(3, "warn", kind="abtest"))
    content = build(store, tmp_path)
    assert [re.findall(r"look (\d)", row)[0] for row in rows(content)] == ["3", "2", "1"]
    assert 'href="flights/drift/2/index.html"' in content
    assert "Alarm</span>" in rows(content)[1]
    assert '<td class="given">no approvals</td>' in rows(content)[1]
    assert '<time datetime="2013-05-01T09:00:00Z">2013-05-01 09:00</time>' in rows(content)[0]
    assert f"{record(2).digest[:12]}</td>" in rows(content)[1]
    assert "The newest of 2 kinds of report: 1 alarm, 1 warning." in content
    add(store, tmp_path, record(4, "alarm", kind="abtest"))
    assert "The newest of 2 kinds of report: 2 alarms." in build(store, tmp_path)


def test_what_needs_a_reader_comes_first_and_its_verdicts_are_told_in_words(store: Store, tmp_path: Path) -> None:
    quiet = [record(number, endpoint="boats", path=f"reports/boats/drift/{number}") for number in (10, 11)]
    add(store, tmp_path, record(1), record(2), record(3, "warn"), record(4, "alarm"), *quiet)
    now = build(store, tmp_path).split('id="now"')[1].split("</table>")[0]
    assert now.index("look 4") < now.index("look 11")
    assert 'aria-label="The last 4 reports, oldest first: OK 2 times, Warning, Alarm"' in now
    heights = re.findall(r'<rect[^>]* height="(\d+)"', now.split("look 11")[0])
    assert heights == ["5", "5", "10", "17"]


def test_a_report_that_failed_is_there_with_what_failed(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, record(1))
    fail(tmp_path, "flights%2Feu", "20130501T030000Z-failed-2", "Cell 4 raised KeyError: &#39;a&#39;")
    fail(tmp_path, "flights", "unfailed-failed-x", "no stamp")
    content = build(store, tmp_path)
    assert "1 failed, 1 OK." in content
    [failed] = [row for row in rows(content) if "Failed" in row]
    assert "Cell 4 raised KeyError: &#39;a&#39;" in failed
    assert "<bdi>flights/eu</bdi>" in failed
    assert 'href="flights%252Feu/drift/20130501T030000Z-failed-2/index.html"' in failed
    assert "03:00" in failed


def test_a_report_whose_page_was_removed_is_listed_without_a_link(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, record(1))
    (tmp_path / record(1).path / "index.html").unlink()
    content = build(store, tmp_path)
    assert "Its page was removed." in content
    assert "flights/drift/1/index.html" not in content
    assert entries(tmp_path)[0].find(f"{ATOM}link") is None
    # RFC 4287, 4.1.2: without a link to what it sums up, an entry holds its content.
    assert entries(tmp_path)[0].findtext(f"{ATOM}content") == record(1).sentence


def test_an_empty_workspace_has_a_site_too(store: Store, tmp_path: Path) -> None:
    assert "There is no report yet." in build(store, tmp_path)
    assert entries(tmp_path) == []


def test_the_page_stays_small_and_says_what_it_leaves_out(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, *(record(number) for number in range(site.LISTED + 7)))
    content = build(store, tmp_path)
    assert len(rows(content)) == site.LISTED
    assert "7 older reports are not listed here" in content
    assert content.count("<rect") == site.SHOWN
    assert len(content) < 500_000
    assert len(entries(tmp_path)) == site.FED


def test_the_feed_is_atom_with_identifiers_that_stay(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, record(1), record(2, "alarm", sentence="a < b \x00\x0b & c"))
    build(store, tmp_path, base="https://ml.test/ws/")
    newest, oldest = entries(tmp_path)
    assert newest.findtext(f"{ATOM}title") == "Alarm: flights drift"
    assert newest.findtext(f"{ATOM}summary") == "a < b \ufffd\ufffd & c"
    link = newest.find(f"{ATOM}link")
    assert link is not None
    assert link.get("href") == "https://ml.test/ws/reports/flights/drift/2/index.html"
    itself = '<link rel="self" type="application/atom+xml" href="https://ml.test/ws/reports/feed.xml"/>'
    assert (tmp_path / "reports" / "feed.xml").read_text(encoding="utf-8").count(itself) == 1
    identifiers = [entry.findtext(f"{ATOM}id") for entry in (newest, oldest)]
    add(store, tmp_path, record(3))
    build(store, tmp_path)
    assert [entry.findtext(f"{ATOM}id") for entry in entries(tmp_path)][1:] == identifiers
    assert len(set(identifiers)) == 2
    assert entries(tmp_path)[0].find(f"{ATOM}link").get("href") == "flights/drift/3/index.html"  # type: ignore[union-attr]


def test_the_policy_names_the_one_script_that_may_run(store: Store, tmp_path: Path) -> None:
    content = build(store, tmp_path)
    assert content.count("<script>") == 1
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in content
    assert not re.search(r'(?:src|href)="(?:https?:|//)', content)


def test_hostile_texts_are_texts_on_the_page_and_in_the_feed(store: Store, tmp_path: Path) -> None:
    hostile = [
        record(number, sentence=text, endpoint=text, kind=text, path=f"reports/flights/drift/{number}")
        for number, text in enumerate(HOSTILE)
    ]
    add(store, tmp_path, *hostile)
    content = build(store, tmp_path, title=HOSTILE[0])
    assert content.count("<script") == 1
    assert not re.findall(r"<(?:img|iframe|object|embed|base|form|video|math|foreignObject)\b", content)
    assert len(rows(content)) == len(HOSTILE)
    assert len(entries(tmp_path)) == min(len(HOSTILE), site.FED)


def test_reports_that_end_at_the_same_time_are_all_listed(store: Store, tmp_path: Path) -> None:
    def one(number: int) -> None:
        add(store, tmp_path, record(number))
        build(store, tmp_path)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows((tmp_path / "reports" / "index.html").read_text())) == 8
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["feed.xml", "flights", "index.html"]
