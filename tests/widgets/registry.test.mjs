// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("registry");

const version = (name, metrics, lineage = {}) => ({ version: name, metrics, lineage, runtime: "onnx", note: "" });

test("two versions are compared fact by fact", () => {
  const rows = panel.compared(version("m/1", { auc: 0.75, f1: 0.5 }, { data: "a" }), version("m/2", { auc: 0.8 }, { data: "b", python: "3.11" }));
  assert.deepEqual(rows.map((row) => [row.name, row.first, row.second, row.change]), [
    ["auc", "0.75", "0.80", "+0.05"],
    ["f1", "0.5", "–", "differs"],
    ["data", "a", "b", "differs"],
    ["python", "–", "3.11", "differs"],
    ["runtime", "onnx", "onnx", "same"],
    ["note", "–", "–", "same"],
  ]);
});

test("a difference has its sign", () => {
  assert.equal(panel.signed(0), "same");
  assert.equal(panel.signed(-0.012), "−0.012");
});

test("a third choice takes the place of the oldest", () => {
  assert.deepEqual(panel.ticked(["a", "b"], "c"), ["b", "c"]);
  assert.deepEqual(panel.ticked(["a", "b"], "a"), ["b"]);
});

test("a model's versions are its own, whatever another model's name begins with", () => {
  const state = { versions: [version("flights/1", {}), version("flights-eu/1", {})] };
  assert.deepEqual(panel.versionsOf(state, "flights").map((row) => row.version), ["flights/1"]);
});
