// Run by tests/lab/test_lab_package.py with `node --test` on the compiled modules, which MODULES names.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import test from "node:test";

const module = (name) => import(pathToFileURL(`${process.env.MODULES}/${name}.js`));
const { badge, note } = await module("answer");
const { cellFor, followed, mayChange, pause } = await module("follow");
const { chosen, newer, shared } = await module("shared");
const { approvals, approveLine, counted, matching, named, word } = await module("reports");
const { readVerdict } = await module("verdict");
const { templateOf } = await module("notebooks");

const state = (...states) => ({
  workspace: "flights",
  refresh: "%mlprod status",
  alerts: states.map((one, index) => ({ state: one, sentence: "s", endpoint: "flights", alert: index })),
});

test("the badge counts the alerts that nobody sees to", () => {
  assert.deepEqual(badge({ state: state("open", "snoozed", "acknowledged") }), {
    count: "1",
    caption: "mlprod: 1 open alert in flights",
  });
  assert.equal(badge({ state: state(...Array(12).fill("open")) }).count, "9+");
  assert.equal(badge({ state: state(...Array(12).fill("open")) }).caption, "mlprod: 12 open alerts in flights");
  for (const answer of [null, { missing: "x" }, { problem: "x" }, { state: state("snoozed") }]) {
    assert.deepEqual(badge(answer), { count: "", caption: "mlprod" });
  }
});

test("what stands in the status's place says why, and what to do", () => {
  assert.equal(note({ state: state() }, true, "its status"), null);
  assert.equal(note(null, false, "its status").text, "Reading the workspace…");
  assert.equal(note({ missing: "There is none." }, false, "its status").line, "%mlprod init");
  assert.equal(note({ asks: "its state is kept at x" }, false, "its reports").button, "Show its reports");
  assert.equal(note({ problem: "no" }, false, "its status").text, "✗ no");
  assert.equal(note({}, false, "its status").button, "Try again");
});

const report = (changes) => ({
  endpoint: "flights",
  kind: "drift",
  status: "warn",
  sentence: "dep_delay drifts",
  page: "flights/drift/a/index.html",
  digest: "3fa9c1d2aa01",
  approvals: 0,
  created_at: "2013-05-01T06:00:00Z",
  ...changes,
});

test("reports are found by every word of them, and counted", () => {
  const all = [report({}), report({ kind: "abtest", status: "ok" }), report({ status: "failed", digest: "" })];
  assert.equal(matching(all, "").length, 3);
  assert.equal(matching(all, "  DRIFT   warning ").length, 1);
  assert.equal(matching(all, "2013-05 flights").length, 3);
  assert.equal(matching(all, "drift constructor").length, 0);
  assert.equal(counted(1, 1), "1 report");
  assert.equal(counted(1, 3), "1 of 3 reports");
});

test("a report is named, and where it came to a verdict the line that approves it is told", () => {
  assert.equal(named(report({})), "drift of flights");
  assert.equal(approveLine(report({})), 'mlprod approve 3fa9c1d2aa01 --reason "…"');
  assert.equal(approveLine(report({ digest: "" })), "");
  assert.deepEqual([0, 1, 2].map((count) => approvals({ approvals: count })), ["not approved", "1 approval", "2 approvals"]);
  assert.equal(word("alarm"), "Alarm");
  assert.equal(word("constructor"), "constructor");
});

test("the open document is followed, then the last one, then the file browser", () => {
  assert.equal(followed("a/x.ipynb", "b/y.ipynb", "c"), "a/x.ipynb");
  assert.equal(followed(null, "b/y.ipynb", "c"), "b/y.ipynb");
  assert.equal(followed(null, null, "c"), "c");
});

test("a status that is looked at is asked for often, one for the badge seldom", () => {
  assert.ok(pause(true, true) < pause(false, true));
  assert.equal(pause(true, false), pause(false, true));
});

test("a cell that may have changed the status is known", () => {
  for (const source of ["%mlprod deploy x", "%%mlprod promote x\nwhy", "r = %mlprod monitor x", "a = 1\n  %mlprod up", "ws = Workspace.open()"]) {
    assert.ok(mayChange(source), source);
  }
  for (const source of ["x = 1", "# %mlprod is nice", "%mlprodx", "'%mlprod'"]) assert.ok(!mayChange(source), source);
});

test("a cell loads the magic where the notebook does not", () => {
  assert.equal(cellFor("%mlprod up", ["%load_ext mlprod_nb", "x"]), "%mlprod up");
  assert.equal(cellFor("%mlprod up", ["import a\n%reload_ext mlprod_nb"]), "%mlprod up");
  assert.equal(cellFor("%mlprod up", ["# %load_ext mlprod_nb"]), "%load_ext mlprod_nb\n%mlprod up");
  assert.equal(cellFor("%mlprod up", []), "%load_ext mlprod_nb\n%mlprod up");
});

test("of a shared module the version in use counts, or the newest", async () => {
  const of = (value, loaded) => ({ get: async () => () => value, loaded });
  assert.equal(chosen({ "4.2.0": of(1), "4.10.0": of(2) }), "4.10.0");
  assert.equal(chosen({ "4.2.0": of(1, 1), "4.10.0": of(2) }), "4.2.0");
  assert.equal(chosen({}), undefined);
  assert.ok(newer("4.3.0", "4.3.0-rc.1") > 0);
  assert.ok(newer("4.3.0-rc.1", "4.2.9") > 0);
  assert.equal(await shared({ a: { "1.0.0": of("it") } }, "a"), "it");
  assert.equal(await shared({}, "a"), undefined);
});

test("a verdict is read out of whatever a notebook holds", () => {
  const whole = { status: "warn", sentence: "s", action: "%mlprod x", causes: [{ name: "drift: a", grade: "warn" }] };
  assert.deepEqual(readVerdict(whole), whole);
  assert.deepEqual(readVerdict({ status: "ok", sentence: "s" }), { status: "ok", sentence: "s", action: "", causes: [] });
  assert.deepEqual(readVerdict({ ...whole, causes: [null, 1, { name: 1 }, whole.causes[0]] }).causes, whole.causes);
  for (const data of [null, 1, "ok", [], {}, { status: "ok" }, { status: 1, sentence: "s" }]) assert.equal(readVerdict(data), null);
});

test("only templates that are offered are known", () => {
  assert.equal(templateOf("train").label, "Training");
  assert.equal(templateOf("__proto__"), undefined);
});
