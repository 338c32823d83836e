// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("approvals");

test("a version tells whom it waits for", () => {
  const row = { missing: ["x"], needed: 2, given: [], author: "ada" };
  assert.equal(panel.waitsFor(row), "It waits for 2 approvals by others than ada.");
  assert.equal(panel.waitsFor({ ...row, given: ["bob"] }), "It waits for 1 approval by others than ada.");
  assert.equal(panel.waitsFor({ ...row, needed: 0 }), "It waits for its gates.");
  assert.equal(panel.waitsFor({ ...row, missing: [] }), "Nothing is missing: the alias may move.");
});

test("a report tells who has approved it", () => {
  assert.equal(panel.approvedBy({ approved_by: [] }), "waits for a reviewer");
  assert.equal(panel.approvedBy({ approved_by: ["ada", "bob"] }), "approved by ada, bob");
});
