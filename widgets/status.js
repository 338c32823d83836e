/**
 * The status panel. Python sends `state` (what is there, and the lines that may come next) and `message` (how the last line
 * ended); the panel shows them and sends `{line}` when one is run. All text goes in as text, never as HTML.
 */

const WORDS = {
  ok: ["✓", "OK"],
  warn: ["!", "Warning"],
  alarm: ["✗", "Alarm"],
};

/** A verdict's symbol and word; an unknown status is shown as it is. */
export function verdictWord(status) {
  return WORDS[status] ?? ["?", String(status)];
}

/** A share in percent as people write it: 50 %, 33.3 %, <0.1 %. */
export function percent(share) {
  const value = Number(share);
  if (!Number.isFinite(value)) return "–";
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${Number.isInteger(value) ? value : value.toFixed(1)} %`;
}

/** How long ago (or in how long) a moment is, from the present in milliseconds: "3 min ago", "in 2 h". */
export function ago(moment, now) {
  const then = Date.parse(moment ?? "");
  if (Number.isNaN(then)) return "";
  const seconds = Math.round((now - then) / 1000);
  const size = Math.abs(seconds);
  if (size < 45) return seconds < 0 ? "in a moment" : "just now";
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  const [name, length] = units.find(([, span]) => size >= span) ?? ["min", 60];
  const count = Math.max(1, Math.round(size / length));
  return seconds < 0 ? `in ${count} ${name}` : `${count} ${name} ago`;
}

/** The traffic bar's parts: only variants that get any, widths that fill the bar, and which of them have room for a name. */
export function bars(variants) {
  const known = variants.map((variant, index) => ({ ...variant, index, share: Math.max(0, Number(variant.share) || 0) }));
  const total = known.reduce((sum, variant) => sum + variant.share, 0);
  if (total <= 0) return [];
  return known
    .filter((variant) => variant.share > 0)
    .map((variant) => ({
      name: variant.variant,
      index: variant.index,
      width: (100 * variant.share) / total,
      named: variant.share / total >= 0.2,
      title: `${variant.variant} ${percent(variant.share)}`,
    }));
}

/** How a model runs, in a word, and what there is to note: that it is a shadow, or why it is not the fast way. */
export function runtimeWord(variant) {
  return { text: variant.runtime === "onnx" ? "ONNX" : "model worker", note: variant.note ?? "" };
}

/** One sentence for the gateway. */
export function gatewayLine(gateway, now) {
  if (!gateway.running) return "Gateway not running";
  const since = ago(gateway.since, now);
  return `Gateway at ${gateway.url}${since ? `, started ${since}` : ""}`;
}

/** Make an element: attributes by name, handlers by onclick, children as elements or text. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function badge(status) {
  const [symbol, word] = verdictWord(status);
  return h(
    "span",
    { class: `mlprod-badge mlprod-badge-${status in WORDS ? status : "warn"}` },
    h("span", { "aria-hidden": "true" }, symbol),
    word,
  );
}

function actionButton(action, ui) {
  return h(
    "button",
    {
      type: "button",
      class: "mlprod-button",
      "data-key": action.line,
      title: action.line,
      disabled: ui.busy,
      onclick: () => ui.choose(action.line),
    },
    action.label,
  );
}

function trafficBar(variants) {
  const parts = bars(variants);
  const spoken = parts.map((part) => part.title).join(", ") || "no traffic";
  return h(
    "div",
    { class: "mlprod-bar", role: "img", "aria-label": `Traffic: ${spoken}` },
    ...parts.map((part) =>
      h(
        "span",
        { class: `mlprod-part mlprod-variant-${part.index % 4}`, style: { flexGrow: String(part.width) }, title: part.title },
        part.named ? h("span", { class: "mlprod-part-name" }, part.name) : null,
      ),
    ),
  );
}

function variantRow(variant, index) {
  const runtime = runtimeWord(variant);
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: `mlprod-swatch mlprod-variant-${index % 4}`, "aria-hidden": "true" }),
      variant.variant,
    ),
    h("td", { class: "mlprod-version" }, variant.version),
    h("td", { class: "mlprod-number" }, percent(variant.share)),
    h("td", { class: "mlprod-soft" }, runtime.note ? `${runtime.text}: ${runtime.note}` : runtime.text),
  );
}

function endpointCard(endpoint, ui) {
  return h(
    "section",
    { class: "mlprod-endpoint", "aria-label": `Endpoint ${endpoint.name}` },
    h(
      "div",
      { class: "mlprod-row" },
      h("h4", {}, endpoint.name),
      h("span", { class: "mlprod-soft" }, `revision ${endpoint.revision}`),
      h("span", { class: "mlprod-space" }),
      h("span", { class: "mlprod-buttons" }, ...endpoint.actions.map((action) => actionButton(action, ui))),
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

function listing(title, columns, rows) {
  if (!rows.length) return null;
  return h(
    "section",
    { class: "mlprod-listing" },
    h(
      "table",
      {},
      h("caption", {}, title),
      h("thead", { class: "mlprod-unseen" }, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows),
    ),
  );
}

/** What there is to say of an alert beside its verdict: that it waits, or who sees to it. */
export function alertWord(alert) {
  return alert.note || (alert.state === "open" ? "nobody sees to it yet" : alert.state);
}

function alertRow(alert, ui, now) {
  return h(
    "tr",
    {},
    h("td", {}, badge(alert.status)),
    h("th", { scope: "row" }, `${alert.endpoint}, alert ${alert.alert}`),
    h("td", { class: "mlprod-wide" }, alert.sentence, " ", h("span", { class: "mlprod-soft" }, alertWord(alert))),
    h("td", { class: "mlprod-tight" }, ...alert.actions.map((action) => actionButton(action, ui))),
    h("td", { class: "mlprod-soft mlprod-tight" }, ago(alert.raised_at, now)),
  );
}

function reportRow(report, now) {
  const approvals = report.approvals ? `${report.approvals} approved` : "not approved";
  return h(
    "tr",
    {},
    h("td", {}, badge(report.status)),
    h("th", { scope: "row" }, `${report.endpoint} ${report.kind}`),
    h("td", { class: "mlprod-wide" }, report.sentence),
    h("td", { class: "mlprod-soft mlprod-tight" }, approvals),
    h("td", { class: "mlprod-soft mlprod-tight", title: report.digest }, ago(report.created_at, now)),
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

/** The line that was chosen, to be run, copied into a cell, or left. */
function chosenLine(ui) {
  if (!ui.line) return null;
  return h(
    "div",
    { class: "mlprod-strip", role: "group", "aria-label": "Line to run" },
    h("code", {}, ui.line),
    h("span", { class: "mlprod-space" }),
    h(
      "span",
      { class: "mlprod-buttons" },
      h("button", { type: "button", class: "mlprod-button mlprod-main", "data-key": "run", disabled: ui.busy, onclick: ui.run },
        ui.busy ? "Running…" : "Run"),
      h("button", { type: "button", class: "mlprod-button", "data-key": "copy", onclick: ui.copy }, "Copy"),
      h("button", { type: "button", class: "mlprod-button", "data-key": "leave", disabled: ui.busy, onclick: ui.leave }, "Cancel"),
    ),
  );
}

function outcome(message) {
  const shown = message?.text ? message : null;
  const attributes = { class: `mlprod-message${shown?.kind === "error" ? " mlprod-error" : ""}`, role: "status", hidden: !shown };
  if (!shown) return h("div", attributes);
  const line = shown.line ? h("code", {}, shown.line) : null;
  return h("div", attributes, line, h("span", {}, shown.kind === "error" ? `✗ ${shown.text}` : shown.text));
}

/** What the verdict says to do next, where no button does it. */
function nextLine(state) {
  const line = state.verdict.action;
  if (!line || state.actions.some((action) => action.line === line)) return null;
  return h("p", { class: "mlprod-soft" }, "Next: ", h("code", {}, line));
}

function page(state, message, ui, now) {
  const { verdict, gateway } = state;
  return [
    h(
      "div",
      { class: "mlprod-row mlprod-top" },
      h("h3", {}, state.workspace),
      h("span", { class: "mlprod-space" }),
      h("span", { class: "mlprod-soft" }, `as of ${new Date(now).toLocaleTimeString()}`),
      h(
        "button",
        { type: "button", class: "mlprod-button", "data-key": "refresh", title: state.refresh, disabled: ui.busy, onclick: ui.refresh },
        "Refresh",
      ),
    ),
    h("p", { class: "mlprod-verdict" }, badge(verdict.status), h("span", {}, verdict.sentence)),
    h(
      "div",
      { class: "mlprod-row mlprod-gateway" },
      h("span", { class: "mlprod-soft" }, gatewayLine(gateway, now)),
      h("span", { class: "mlprod-buttons" }, ...state.actions.map((action) => actionButton(action, ui))),
    ),
    nextLine(state),
    chosenLine(ui),
    outcome(message),
    ...state.endpoints.map((endpoint) => endpointCard(endpoint, ui)),
    listing("Alerts", ["verdict", "alert", "conclusion", "action", "raised"], state.alerts.map((row) => alertRow(row, ui, now))),
    listing("Reports", ["verdict", "report", "conclusion", "approvals", "made"], state.reports.map((row) => reportRow(row, now))),
    listing("Jobs", ["job", "line", "when", "last run", "next run"], state.jobs.map((row) => jobRow(row, now))),
  ].filter((part) => part !== null);
}

/** Show the panel in an element; returns its clean-up. */
function render({ model, el }) {
  // Keys that JupyterLab would take as commands for the cell stay in the panel.
  const root = h("div", { class: "mlprod-panel", "data-lm-suppress-shortcuts": "true" });
  const ui = { line: "", busy: false };
  let seen = Date.now();

  function draw() {
    const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    root.replaceChildren(...page(model.get("state"), model.get("message"), ui, seen));
    root.setAttribute("aria-busy", String(ui.busy));
    const again = key && [...root.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
    if (again && !again.disabled) again.focus({ preventScroll: true });
  }
  function focus(key) {
    [...root.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key)?.focus({ preventScroll: true });
  }
  function send(line) {
    ui.busy = true;
    model.send({ line });
    draw();
  }
  ui.choose = (line) => {
    ui.line = line;
    draw();
    focus("run");
  };
  ui.run = () => send(ui.line);
  ui.refresh = () => send(model.get("state").refresh);
  ui.leave = () => {
    const line = ui.line;
    ui.line = "";
    draw();
    focus(line);
  };
  ui.copy = () => navigator.clipboard?.writeText(ui.line);

  const onState = () => {
    seen = Date.now();
    draw();
  };
  const onMessage = () => {
    const line = ui.line;
    ui.busy = false;
    ui.line = "";
    draw();
    if (root.contains(document.activeElement) || document.activeElement === document.body) focus(line || "refresh");
  };
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && ui.line && !ui.busy) ui.leave();
  });
  model.on("change:state", onState);
  model.on("change:message", onMessage);
  draw();
  el.append(root);
  return () => {
    model.off("change:state", onState);
    model.off("change:message", onMessage);
    root.remove();
  };
}

export default { render };
