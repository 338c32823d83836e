// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import test from "node:test";
import { load, source } from "./joined.mjs";

const panel = await load("base");

test("a verdict has a symbol and a word, not a colour alone", () => {
  assert.deepEqual(panel.verdictWord("alarm"), ["✗", "Alarm"]);
  assert.deepEqual(panel.verdictWord("new"), ["?", "new"]);
});

test("shares are written as people write them", () => {
  assert.equal(panel.percent(50), "50 %");
  assert.equal(panel.percent(33.333), "33.3 %");
  assert.equal(panel.percent(0), "0 %");
  assert.equal(panel.percent(0.01), "<0.1 %");
  assert.equal(panel.percent("x"), "–");
});

test("moments are told by their age", () => {
  const now = Date.parse("2013-04-01T12:00:00Z");
  assert.equal(panel.ago("2013-04-01T11:59:40Z", now), "just now");
  assert.equal(panel.ago("2013-04-01T11:59:10Z", now), "1 min ago");
  assert.equal(panel.ago("2013-04-01T09:30:00Z", now), "3 h ago");
  assert.equal(panel.ago("2013-03-29T12:00:00Z", now), "3 d ago");
  assert.equal(panel.ago("2012-05-01T12:00:00Z", now), "335 d ago");
  assert.equal(panel.ago("1999-10-01T12:00:00Z", now), "14 y ago");
  assert.equal(panel.ago("2013-04-01T14:00:00Z", now), "in 2 h");
  assert.equal(panel.ago(null, now), "");
  assert.equal(panel.ago("never", now), "");
});

test("the traffic bar is filled by the variants that get traffic", () => {
  const parts = panel.bars([
    { variant: "champion", share: 90 },
    { variant: "shadow", share: 0 },
    { variant: "challenger", share: 10 },
  ]);
  assert.deepEqual(parts.map((part) => [part.name, part.index, part.width, part.named]), [
    ["champion", 0, 90, true],
    ["challenger", 2, 10, false],
  ]);
  assert.equal(parts[1].title, "challenger 10 %");
  assert.deepEqual(panel.bars([]), []);
  assert.deepEqual(panel.bars([{ variant: "a", share: 0 }]), []);
  assert.deepEqual(panel.bars([{ variant: "a", share: NaN }, { variant: "b", share: 3 }]).map((part) => part.width), [100]);
});

test("numbers are read at a glance", () => {
  assert.equal(panel.number(1234.4), "1,234");
  assert.equal(panel.number(0.14234), "0.142");
  assert.equal(panel.number(0.00000031), "3.1e-7");
  assert.equal(panel.number(0), "0");
  assert.equal(panel.number(null), "–");
  assert.equal(panel.number(NaN), "–");
});

test("numbers beside each other have as many decimals, and no more digits than three", () => {
  assert.deepEqual(panel.aligned([0.14, 0.1512]), ["0.140", "0.151"]);
  assert.deepEqual(panel.aligned([0.0002, 12.34]), ["0.0002", "12.3"]);
  assert.deepEqual(panel.aligned([-0.02, 0, 0.0031]), ["-0.0200", "0.0000", "0.0031"]);
  assert.deepEqual(panel.aligned([9, 10.5]), ["9.0", "10.5"]);
  assert.deepEqual(panel.aligned([12345, 0.5]), ["12,345", "0.5"]);
  assert.deepEqual(panel.aligned([null, 0.5]), ["–", "0.5"]);
  assert.deepEqual(panel.percents([74.1, 72]), ["74.1 %", "72.0 %"]);
  assert.deepEqual(panel.percents([78, 77]), ["78 %", "77 %"]);
});

test("a reason becomes one word of the line, and only where it is written", () => {
  const action = { line: "%mlprod rollback flights", reason: "optional" };
  assert.equal(panel.lineOf(action, " "), "%mlprod rollback flights");
  assert.equal(panel.lineOf(action, "it's late"), `%mlprod rollback flights --reason "it's late"`);
  assert.equal(panel.lineOf(action, "late", true), "%mlprod rollback flights --dry-run --reason late");
  assert.equal(panel.lineOf({ line: "%mlprod up", reason: "" }, "late"), "%mlprod up");
});

test("dates, shares and options stay on one line, and the rest of a text is as it was", () => {
  const kept = (text) => panel.pieces(text).filter((_, index) => index % 2);
  assert.deepEqual(kept("from 2013-04-01 to 2013-04-02T10:11:12Z, 2013-04-01 00:00"), ["2013-04-01", "2013-04-02T10:11:12Z", "2013-04-01 00:00"]);
  assert.deepEqual(kept("report a-b drift --since 7d --dry-run"), ["--since", "--dry-run"]);
  assert.deepEqual(kept("95 % of 1,234.5 %"), ["95 %", "1,234.5 %"]);
  for (const text of ["", "a", "--", "x--y 3 %w 12013-04-011", "2013-04-01"]) assert.equal(panel.pieces(text).join(""), text);
  assert.deepEqual(kept("x--y 3 %w 12013-04-011"), []);
});

test("any text is quoted so that a shell expands nothing", () => {
  assert.equal(panel.quoted("flights/3"), "flights/3");
  assert.equal(panel.quoted(""), '""');
  assert.equal(panel.quoted('say "no" to $HOME'), `'say "no" to $HOME'`);
  assert.equal(panel.quoted("`id` isn't"), "'`id` isn'\\''t'");
});

for (const name of readdirSync(new URL("../../widgets/", import.meta.url)).filter((file) => file.endsWith(".js"))) {
  test(`${name} is one module that imports nothing and never writes HTML`, async () => {
    const text = source(name.slice(0, -3));
    const loaded = await load(name.slice(0, -3));
    if (name !== "base.js" && name !== "charts.js") assert.equal(typeof loaded.default.render, "function");
    assert.doesNotMatch(text, /^\s*import\b|import\(/m);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|https?:\/\/(?!www\.w3\.org\/2000\/svg")/);
  });
}
