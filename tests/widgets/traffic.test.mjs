// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("traffic");
const weights = (rows) => rows.map((row) => row.weight);
const rows = (...given) => given.map((weight, index) => ({ name: "abcd"[index], version: `m/${index}`, shadow: false, weight }));

test("weights in whole percent sum to 100, whatever they were", () => {
  assert.deepEqual(weights(panel.rounded(rows(1, 1, 1))), [34, 33, 33]);
  assert.deepEqual(weights(panel.rounded(rows(0, 0))), [50, 50]);
  assert.deepEqual(weights(panel.rounded(rows(33.33, 66.67))), [33, 67]);
  for (let a = 0; a <= 100; a += 7) {
    for (let b = 0; b <= 100 - a; b += 3) {
      const found = weights(panel.rounded(rows(a, b, 100 - a - b)));
      assert.equal(found.reduce((sum, weight) => sum + weight, 0), 100);
    }
  }
});

test("a slider takes from the others in proportion and gives back to them", () => {
  assert.deepEqual(weights(panel.balanced(rows(50, 40, 10), "a", 75)), [75, 20, 5]);
  assert.deepEqual(weights(panel.balanced(rows(100, 0), "a", 70)), [70, 30]);
  assert.deepEqual(weights(panel.balanced(rows(100, 0, 0), "a", 0)), [0, 50, 50]);
  assert.deepEqual(weights(panel.balanced(rows(50, 50), "b", 400)), [0, 100]);
  assert.deepEqual(weights(panel.balanced(rows(100), "a", 20)), [100]);
});

test("every move of every slider keeps the sum and what was set", () => {
  for (const name of "abc") {
    for (let weight = 0; weight <= 100; weight += 1) {
      const found = panel.balanced(rows(17, 61, 22), name, weight);
      assert.equal(weights(found).reduce((sum, value) => sum + value, 0), 100);
      assert.equal(found.find((row) => row.name === name).weight, weight);
    }
  }
});

test("a shadow gets nothing, and the last variant that answers goes on", () => {
  const one = panel.toggled(rows(50, 50), "b");
  assert.deepEqual(one.map((row) => [row.weight, row.shadow]), [[100, false], [0, true]]);
  assert.equal(panel.toggled(one, "a"), one);
  assert.deepEqual(weights(panel.toggled(one, "b")), [100, 0]);
});

test("the line names who answers and who is a shadow, and leaves out who gets nothing", () => {
  const plan = [...rows(70, 30, 0), { name: "it's", version: "m/9", shadow: true, weight: 0 }];
  assert.equal(panel.routeLine("flights", plan), `%mlprod route flights a=70 b=30 "it's"=shadow`);
  const state = { endpoint: "flights", variants: [{ variant: "a", version: "m/0", share: 100, shadow: false }] };
  assert.equal(panel.unchanged(state, panel.planOf(state)), true);
  assert.equal(panel.unchanged(state, panel.added(panel.planOf(state), { name: "b", version: "m/1" })), true);
  assert.equal(panel.unchanged(state, rows(70, 30)), false);
});

test("who would move is told in words", () => {
  assert.deepEqual(panel.movesInWords([], "tailnum"), ["Nobody meets another variant than before."]);
  assert.deepEqual(panel.movesInWords([{ before: "a", after: "b", share: 20 }], "tailnum"), [
    "20 % of tailnum would move from a to b.",
    "80 % would stay where they are.",
  ]);
});
