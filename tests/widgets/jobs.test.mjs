// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("jobs");

test("a run's ending has a mark and words", () => {
  assert.deepEqual(panel.ending({ ending: "ok" }), { mark: "✓", text: "ok" });
  assert.deepEqual(panel.ending({ ending: "running" }), { mark: "…", text: "running" });
  assert.deepEqual(panel.ending({ ending: "verdict: no" }), { mark: "!", text: "verdict: no" });
  assert.deepEqual(panel.ending({ ending: "timed out" }), { mark: "✗", text: "timed out" });
  assert.equal(panel.ending({ ending: "ok (attempt 2 of 3)" }).mark, "✓");
  assert.equal(panel.ending({ ending: "failed, exit code 3 (attempt 2 of 3)" }).mark, "✗");
  assert.equal(panel.ending({ ending: "verdict: no (51m late, 2 missed before it)" }).mark, "!");
});

test("a run tells how long it took once it has ended", () => {
  const begun = { started_at: "2013-04-01T00:00:00Z" };
  assert.equal(panel.took({ ...begun, finished_at: "2013-04-01T00:00:42Z" }), "42 s");
  assert.equal(panel.took({ ...begun, finished_at: "2013-04-01T00:10:00Z" }), "10 min");
  assert.equal(panel.took({ ...begun, finished_at: null }), "");
});
