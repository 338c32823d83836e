/** The status panel: endpoints, versions, traffic, health, alerts, reports and jobs, with the lines that may come next. */
import { actionButton, actionButtons, ago, badge, chosenLine, h, listing, outcome, panel, percent, swatch, top, trafficBar, verdictLine } from "./base.js";

/** How a model runs, in a word, and what there is to note: that it is a shadow, or why it is not the fast way. */
export function runtimeWord(variant) {
  const words = { onnx: "ONNX", python: "model worker" };
  return [words[variant.runtime], variant.note].filter(Boolean).join(": ");
}

/** One sentence for the gateway. */
export function gatewayLine(gateway, now) {
  if (!gateway.running) return "Gateway not running";
  const since = ago(gateway.since, now);
  const place = gateway.place ? `, ${gateway.place}` : "";
  return `Gateway at ${gateway.url}${place}${since ? `, started ${since}` : ""}`;
}

/** What there is to say of an alert beside its verdict: that it waits, or who sees to it. */
export function alertWord(alert) {
  return alert.note || (alert.state === "open" ? "nobody sees to it yet" : alert.state);
}

function variantRow(variant, index) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, swatch(index), variant.variant),
    h("td", { class: "mlprod-version" }, variant.version),
    h("td", { class: "mlprod-number" }, percent(variant.share)),
    h("td", { class: "mlprod-soft" }, runtimeWord(variant)),
  );
}

function endpointCard(endpoint, ui) {
  return h(
    "section",
    { class: "mlprod-endpoint", "aria-label": `Endpoint ${endpoint.name}`, "data-key": `endpoint ${endpoint.name}` },
    h(
      "div",
      { class: "mlprod-row" },
      h("h4", {}, endpoint.name),
      h("span", { class: "mlprod-soft" }, `revision ${endpoint.revision}`),
      h("span", { class: "mlprod-space" }),
      actionButtons(endpoint.actions, ui),
    ),
    trafficBar(endpoint.variants),
    h(
      "table",
      {},
      h("caption", { class: "mlprod-unseen" }, `Variants of ${endpoint.name}`),
      h("colgroup", {}, ...Array.from({ length: 4 }, () => h("col"))),
      h(
        "thead",
        { class: "mlprod-unseen" },
        h("tr", {}, ...["variant", "version", "traffic", "runtime"].map((name) => h("th", { scope: "col" }, name))),
      ),
      h("tbody", {}, ...endpoint.variants.map(variantRow)),
    ),
  );
}

function alertRow(alert, ui, now) {
  return h(
    "tr",
    {},
    h("td", {}, badge(alert.status)),
    h("th", { scope: "row" }, `${alert.endpoint}, alert ${alert.alert}`),
    h("td", { class: "mlprod-wide" }, alert.sentence, " ", h("span", { class: "mlprod-soft" }, alertWord(alert))),
    h("td", { class: "mlprod-tight mlprod-act" }, ...alert.actions.map((action) => actionButton(action, ui))),
    h("td", { class: "mlprod-soft mlprod-tight" }, `raised ${ago(alert.raised_at, now)}`),
  );
}

/** What a report concludes; where an alert says it, that is not said again. */
export function concluded(report) {
  return typeof report.alert === "number" ? `see alert ${report.alert}` : report.sentence;
}

function reportRow(report, now) {
  const failed = report.status === "failed";
  const approvals = report.approvals ? `${report.approvals} approved` : failed ? "" : "not approved";
  return h(
    "tr",
    {},
    h("td", {}, failed ? badge("alarm", "Failed") : badge(report.status)),
    h("th", { scope: "row" }, `${report.endpoint} ${report.kind}`),
    h("td", { class: "mlprod-wide" }, concluded(report)),
    h("td", { class: "mlprod-soft mlprod-tight" }, approvals),
    h("td", { class: "mlprod-soft mlprod-tight", title: report.digest }, `made ${ago(report.created_at, now)}`),
  );
}

function jobRow(job, now) {
  return h(
    "tr",
    {},
    h("td", { class: "mlprod-number" }, String(job.job)),
    h("th", { scope: "row" }, h("code", {}, job.command)),
    h("td", { class: "mlprod-wide mlprod-soft" }, job.cron),
    h("td", { class: "mlprod-soft mlprod-tight" }, job.last ? `last: ${job.last}` : ""),
    h("td", { class: "mlprod-soft mlprod-tight" }, job.next_at ? `next ${ago(job.next_at, now)}` : ""),
  );
}

function taskRow(task, now) {
  return h(
    "tr",
    {},
    h("td", { class: "mlprod-number" }, String(task.task)),
    h("th", { scope: "row" }, h("code", {}, task.command)),
    h("td", { class: "mlprod-wide mlprod-soft" }, task.said),
    h("td", { class: "mlprod-tight" }, task.state),
    h("td", { class: "mlprod-soft mlprod-tight" }, `started ${ago(task.started_at, now)}`),
  );
}

/** What the verdict says to do next; empty where a button does it. */
export function nextOf(state) {
  const offered = [state, ...state.endpoints, ...state.alerts].flatMap(({ actions }) => actions.map(({ line }) => line));
  const line = state.verdict.action;
  return offered.includes(line) ? "" : line;
}

function nextLine(state) {
  const line = nextOf(state);
  if (!line) return null;
  return h("p", { class: "mlprod-soft" }, "Next: ", h("code", {}, line));
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  const { verdict, gateway } = state;
  return [
    top(state.workspace, state, ui, seen),
    verdictLine(verdict),
    h(
      "div",
      { class: "mlprod-row mlprod-gateway" },
      h("span", { class: "mlprod-soft" }, gatewayLine(gateway, seen)),
      actionButtons(state.actions, ui),
    ),
    nextLine(state),
    chosenLine(ui),
    outcome(message),
    listing("Alerts", ["verdict", "alert", "conclusion", "action", "raised"], state.alerts.map((row) => alertRow(row, ui, seen))),
    ...state.endpoints.map((endpoint) => endpointCard(endpoint, ui)),
    listing("Reports", ["verdict", "report", "conclusion", "approvals", "made"], state.reports.map((row) => reportRow(row, seen))),
    listing("In the background", ["task", "line", "what it said last", "state", "started"], state.tasks.map((row) => taskRow(row, seen))),
    listing("Jobs", ["job", "line", "when", "last run", "next run"], state.jobs.map((row) => jobRow(row, seen))),
  ];
}

export default panel(page);
