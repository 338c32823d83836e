// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("live");

test("times are read at a glance", () => {
  assert.equal(panel.duration(0.84), "0.84 ms");
  assert.equal(panel.duration(12.345), "12.3 ms");
  assert.equal(panel.duration(1240), "1.24 s");
  assert.equal(panel.duration(null), "–");
});

test("each step of a release has its mark", () => {
  const states = ["done", "stands", "paused", "to come", "rolled back", "–"];
  assert.equal(states.map(panel.stepMark).join(" "), "✓ ● ❚❚ ○ ✗ ○");
});

test("a watch tells how long it lasts", () => {
  assert.equal(panel.lasting([]), "0 s");
  assert.equal(panel.lasting([10, 70]), "60 s");
  assert.equal(panel.lasting([0, 600]), "10 min");
  assert.equal(panel.lasting([0, 3 * 3600]), "3.0 h");
});

test("what came true has its interval, a share in percent", () => {
  assert.equal(panel.truthWord({ metric: "accuracy", value: 0.741, lower: 0.72, upper: 0.76 }), "74.1 % (72.0 % to 76.0 %)");
  assert.equal(panel.truthWord({ metric: "mae", value: 12.34, lower: 11, upper: 13.5 }), "12.3 (11.0 to 13.5)");
});

test("before two looks the table shows all since the gateway started", () => {
  const state = { variants: [{ variant: "a" }] };
  assert.equal(panel.rowsOf(state, undefined).caption, "Since the gateway started");
  assert.equal(panel.rowsOf(state, { last: [] }).rows, state.variants);
  assert.equal(panel.rowsOf(state, { last: [{ variant: "b" }] }).each, " /s");
});

test("what users did is a share in percent, or a mean reward", () => {
  assert.equal(panel.shareWord({ kind: "interaction", value: 0.1234, lower: 0.11, upper: 0.137 }), "12.3 % (11.0 % to 13.7 %)");
  assert.equal(panel.shareWord({ kind: "reward", value: 2.5, lower: 2.25, upper: 2.75 }), "2.50 (2.25 to 2.75)");
  assert.equal(panel.shareWord({ kind: "reward", value: 2.5, lower: null, upper: null }), "2.5");
});

test("where no label has come, the table of what came true says so", () => {
  assert.equal(panel.truthTitle("accuracy", 0), "Accuracy: no label has come yet (95 % interval)");
  assert.equal(panel.truthTitle("accuracy", 1200), "Accuracy of the newest 1,200 rows with a label (95 % interval)");
  assert.equal(panel.truthTitle("accuracy", 1), "Accuracy of the newest 1 row with a label (95 % interval)");
});
