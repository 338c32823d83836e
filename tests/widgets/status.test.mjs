// Run by tests/widgets/test_widgets_panels.py with `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./joined.mjs";

const panel = await load("status");

test("a model worker says why it is not ONNX, and a shadow that it is one", () => {
  assert.equal(panel.runtimeWord({ runtime: "onnx", note: "shadow" }), "ONNX: shadow");
  assert.equal(panel.runtimeWord({ runtime: "onnx", note: "" }), "ONNX");
  assert.equal(panel.runtimeWord({ runtime: "python", note: "no converter" }), "model worker: no converter");
  assert.equal(panel.runtimeWord({ runtime: "", note: "its bundle 5d37 is gone" }), "its bundle 5d37 is gone");
});

test("an alert says that it waits, or who sees to it", () => {
  assert.equal(panel.alertWord({ state: "open", note: "" }), "nobody sees to it yet");
  assert.equal(panel.alertWord({ state: "open", note: "not sent: slack 2: HTTP 500" }), "not sent: slack 2: HTTP 500");
  assert.equal(panel.alertWord({ state: "snoozed", note: "" }), "snoozed");
});

test("the gateway is told in one line", () => {
  const now = Date.parse("2013-04-01T12:00:00Z");
  assert.equal(panel.gatewayLine({ running: false }, now), "Gateway not running");
  assert.equal(
    panel.gatewayLine({ running: true, url: "http://127.0.0.1:1", since: "2013-04-01T10:00:00Z" }, now),
    "Gateway at http://127.0.0.1:1, started 2 h ago",
  );
  assert.equal(
    panel.gatewayLine({ running: true, url: "http://10.0.0.3:1", place: "on Ray node 10.0.0.3" }, now),
    "Gateway at http://10.0.0.3:1, on Ray node 10.0.0.3",
  );
});

test("what an alert says is not said by its report again", () => {
  assert.equal(panel.concluded({ sentence: "brier rose", alert: 7 }), "see alert 7");
  assert.equal(panel.concluded({ sentence: "brier rose", alert: null }), "brier rose");
});

test("what to do next is written only where no button does it", () => {
  const actions = [{ line: "%mlprod alerts acknowledge 7" }];
  const state = { verdict: { action: "%mlprod alerts acknowledge 7" }, actions: [], endpoints: [{ actions: [] }], alerts: [] };
  assert.equal(panel.nextOf(state), "%mlprod alerts acknowledge 7");
  assert.equal(panel.nextOf({ ...state, alerts: [{ actions }] }), "");
});
