// Run by tests/lab/test_lab_package.py with `node --test` on the compiled modules, which MODULES names.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import test from "node:test";

const module = (name) => import(pathToFileURL(`${process.env.MODULES}/${name}.js`));
const { badge, note, reportsPath, withoutReports } = await module("answer");
const { cellFor, followed, mayChange, pause } = await module("follow");
const { chosen, newer, shared } = await module("shared");
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
  assert.equal(note({ state: state() }), null);
  assert.equal(note(null).text, "Reading the workspace…");
  assert.equal(note({ missing: "There is none." }).line, "%mlprod init");
  assert.equal(note({ asks: "its state is kept at x", inside: "" }).button, "Show its status");
  assert.equal(note({ problem: "no" }).text, "✗ no");
  assert.equal(note({}).button, "Try again");
});

test("the reports' page is found below the server's directory, or it is said why not", () => {
  assert.equal(reportsPath({ state: state(), inside: "a/flights", page: "reports/index.html" }), "a/flights/reports/index.html");
  assert.equal(reportsPath({ state: state(), inside: "", page: "reports/index.html" }), "reports/index.html");
  assert.equal(reportsPath({ state: state(), inside: null, page: "reports/index.html" }), "");
  assert.match(withoutReports({ state: state(), inside: null, page: "reports/index.html" }), /outside/);
  assert.equal(reportsPath({ state: state(), inside: "", page: "" }), "");
  assert.match(withoutReports({ state: state(), inside: "", page: "" }), /No report was made yet/);
  assert.equal(withoutReports({ missing: "There is none." }), "There is none.");
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
