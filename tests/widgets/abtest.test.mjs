// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("abtest");

const lift = { difference: -0.008, difference_lower: -0.014, difference_upper: 0.002, significant: true, better: "lower" };

test("a difference has its sign and its interval", () => {
  assert.equal(panel.interval(lift), "−0.008 (−0.014 to +0.002)");
  assert.equal(panel.interval({ ...lift, difference_lower: -0.02, difference_upper: 0.1 }), "−0.008 (−0.020 to +0.100)");
  assert.equal(panel.interval({ ...lift, difference_lower: null }), "−0.008");
  assert.equal(panel.interval({ difference: null, difference_lower: null }), "–");
});

test("a reading is certain or not, better or worse by the metric's own aim", () => {
  assert.equal(panel.reading(lift), "better");
  assert.equal(panel.reading({ ...lift, better: "higher" }), "worse");
  assert.equal(panel.reading({ ...lift, better: "same" }), "moved");
  assert.equal(panel.reading({ ...lift, significant: false }), "no certain difference");
});

test("the split is told beside its design", () => {
  assert.equal(
    panel.splitWord({ observed: { a: 750, b: 250 }, expected: { a: 0.7, b: 0.3 } }),
    "a 750 units, 75 % (designed 70 %); b 250 units, 25 % (designed 30 %)",
  );
});

test("segments that certainly differ come first, and all are counted", () => {
  const found = panel.segmentsOf({ segments: [{ by: "carrier", segment: "UA", significant: false }, { by: "carrier", segment: "AA", significant: true }] });
  assert.deepEqual(found.rows.map((row) => row.segment), ["AA", "UA"]);
  assert.equal(found.about, "1 of 2 certainly differs; corrected for all of them");
  assert.equal(panel.segmentsOf({ segments: [{ significant: false }] }).about, "none of 1 certainly differs; corrected for all of them");
  assert.deepEqual(panel.segmentsOf({}).rows, []);
});

test("the sequence keeps its ends", () => {
  const result = { path: [{ time: "1970-01-01T00:00:01Z", difference: 1, lower: 0, upper: 2 }] };
  assert.deepEqual(panel.pathOf(result), { line: [[1000, 1]], area: [[1000, 0, 2]] });
});
