// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const charts = await load("charts");
const same = (value) => value;

test("ticks are round, few, and cover the range", () => {
  assert.deepEqual(charts.ticks(0, 103), [0, 50, 100, 150]);
  assert.deepEqual(charts.ticks(-0.011, 0.024), [-0.02, -0.01, 0, 0.01, 0.02, 0.03]);
  assert.deepEqual(charts.ticks(0, 0), [0, 0.25]);
  for (const [low, high] of [[0, 1], [3, 7919], [-5, 0.1], [1e-9, 2e-9], [0, 1e12]]) {
    const found = charts.ticks(low, high);
    assert.ok(found[0] <= low && found.at(-1) >= high && found.length <= 6, `${low} ${high}: ${found}`);
  }
});

test("a line is broken where values are missing, and a point alone is seen", () => {
  assert.equal(charts.path([[0, 1], [1, 2], [2, null], [3, 4]], same, same), "M0.0 1.0L1.0 2.0M3.0 4.0h2");
  assert.equal(charts.path([], same, same), "");
  assert.equal(charts.path([[0, NaN]], same, same), "");
});

test("a band needs two points", () => {
  assert.equal(charts.band([[0, 1, 2]], same, same), "");
  assert.equal(charts.band([[0, 1, 2], [1, null, 2], [2, 3, 4]], same, same), "M0.0 2.0L2.0 4.0L2.0 3.0L0.0 1.0Z");
});

test("an extent of nothing is a range all the same", () => {
  assert.deepEqual(charts.extent([null, NaN, undefined]), [0, 1]);
  assert.deepEqual(charts.extent([3, null, -2]), [-2, 3]);
});
