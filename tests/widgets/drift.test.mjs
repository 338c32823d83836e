// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("drift");

const windows = [
  { since: "2013-04-01T00:00:00Z", until: "2013-04-02T00:00:00Z" },
  { since: "2013-04-02T00:00:00Z", until: "2013-04-03T00:00:00Z" },
];
const state = { endpoint: "flights", windows, since: windows[1].since, until: windows[1].until };

test("the slider stands where the window is, or at all of the log", () => {
  assert.equal(panel.placeOf(state), 2);
  assert.equal(panel.placeOf({ ...state, since: null, until: null }), 0);
  assert.equal(panel.lineAt(state, 0), "%mlprod panel drift flights");
  assert.equal(panel.lineAt(state, 1), "%mlprod panel drift flights --since 2013-04-01T00:00:00Z --until 2013-04-02T00:00:00Z");
});

test("a window is told in days where it is of days", () => {
  assert.equal(panel.windowWord(windows[0]), "2013-04-01 to 2013-04-02");
  assert.equal(panel.windowWord({ since: "2013-04-01T05:00:00Z", until: "2013-04-01T06:00:00Z" }), "2013-04-01 05:00 to 2013-04-01 06:00");
  assert.equal(panel.windowWord(undefined), "all of the log");
});

test("while another window is waited for, it is told which one is shown", () => {
  const whole = { ...state, model_version: "flights/1", rows: 1200 };
  assert.equal(panel.aboutRows(whole, { place: 2 }), panel.aboutRows(whole, {}));
  assert.match(panel.aboutRows(whole, {}), /predictions against the reference of flights\/1/);
  assert.equal(panel.aboutRows(whole, { busy: true }), "Reading…");
  assert.equal(panel.aboutRows(whole, { place: 1 }), "Waiting for the kernel. What is shown is of 2013-04-02 to 2013-04-03.");
  assert.equal(panel.aboutRows({ ...whole, since: null, until: null }, { busy: true, place: 1 }), "Waiting for the kernel. What is shown is of all of the log.");
});

test("a column that was not tested is not said to be fine", () => {
  assert.deepEqual(panel.judged({ drifted: false, p_value: null }), ["–", "not tested"]);
  assert.deepEqual(panel.judged({ drifted: false, p_value: 0.2 }), ["✓", "no drift"]);
  assert.deepEqual(panel.judged({ drifted: true, p_value: 0 }), ["!", "drifted"]);
});

test("impact is relative to the largest, and unknown where it was not measured", () => {
  const features = [{ drift: { impact: 0.4 } }, { drift: { impact: 0.1 } }, { drift: { impact: null } }];
  assert.deepEqual(features.map((feature) => panel.weight(feature.drift, features)), [100, 25, null]);
  assert.equal(panel.weight({ impact: 0 }, [{ drift: { impact: 0 } }]), null);
});

test("the model's own outcomes are named without underscores, and a column of the user's as it is", () => {
  assert.equal(panel.columnName({ column: "__score__" }), "score");
  assert.equal(panel.columnName({ column: "__x" }), "__x");
});
