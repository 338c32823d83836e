// Run by tests/widgets/test_widgets_status.py with `node --test`. The module is loaded from its bytes, as anywidget does,
// which also proves that it imports nothing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../widgets/status.js", import.meta.url));
const panel = await import(`data:text/javascript;base64,${source.toString("base64")}`);

test("a verdict has a symbol and a word, not a colour alone", () => {
  assert.deepEqual(panel.verdictWord("alarm"), ["✗", "Alarm"]);
  assert.deepEqual(panel.verdictWord("new"), ["?", "new"]);
});

test("shares are written as people write them", () => {
  assert.equal(panel.percent(50), "50 %");
  assert.equal(panel.percent(33.333), "33.3 %");
  assert.equal(panel.percent(0), "0 %");
  assert.equal(panel.percent(0.01), "<0.1 %");
  assert.equal(panel.percent("x"), "–");
});

test("moments are told by their age", () => {
  const now = Date.parse("2013-04-01T12:00:00Z");
  assert.equal(panel.ago("2013-04-01T11:59:40Z", now), "just now");
  assert.equal(panel.ago("2013-04-01T11:59:10Z", now), "1 min ago");
  assert.equal(panel.ago("2013-04-01T09:30:00Z", now), "3 h ago");
  assert.equal(panel.ago("2013-03-29T12:00:00Z", now), "3 d ago");
  assert.equal(panel.ago("2013-04-01T14:00:00Z", now), "in 2 h");
  assert.equal(panel.ago(null, now), "");
  assert.equal(panel.ago("never", now), "");
});

test("the traffic bar is filled by the variants that get traffic", () => {
  const parts = panel.bars([
    { variant: "champion", share: 90 },
    { variant: "shadow", share: 0 },
    { variant: "challenger", share: 10 },
  ]);
  assert.deepEqual(parts.map((part) => [part.name, part.index, part.width, part.named]), [
    ["champion", 0, 90, true],
    ["challenger", 2, 10, false],
  ]);
  assert.equal(parts[1].title, "challenger 10 %");
  assert.deepEqual(panel.bars([]), []);
  assert.deepEqual(panel.bars([{ variant: "a", share: 0 }]), []);
  assert.deepEqual(panel.bars([{ variant: "a", share: NaN }, { variant: "b", share: 3 }]).map((part) => part.width), [100]);
});

test("a model worker says why it is not ONNX, and a shadow that it is one", () => {
  assert.deepEqual(panel.runtimeWord({ runtime: "onnx", note: "shadow" }), { text: "ONNX", note: "shadow" });
  assert.deepEqual(panel.runtimeWord({ runtime: "onnx", note: "" }), { text: "ONNX", note: "" });
  assert.deepEqual(panel.runtimeWord({ runtime: "python", note: "no converter" }), { text: "model worker", note: "no converter" });
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
});

test("the module has what anywidget asks for, imports nothing and never writes HTML", () => {
  const text = source.toString();
  assert.equal(typeof panel.default.render, "function");
  assert.doesNotMatch(text, /^\s*import\b|import\(/m);
  assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:\/\//);
});
