/** The traffic panel: sliders for shares that sum to 100, shadows, who would move, apply and undo. */
import { actionButtons, ago, button, chosenLine, h, lineOf, listing, outcome, panel, percent, quoted, swatch, top, trafficBar } from "./base.js";

const PREVIEW_AFTER_MS = 300;

/** What the panel begins with: each variant's weight in whole percent, and which are shadows. */
export function planOf(state) {
  const rows = state.variants.map((row) => ({ name: row.variant, version: row.version, shadow: row.shadow, weight: row.share }));
  return rounded(rows);
}

/** Weights in whole percent that sum to 100, by the largest remainders; those of shadows are 0. */
export function rounded(rows) {
  const answering = rows.filter((row) => !row.shadow);
  const total = answering.reduce((sum, row) => sum + row.weight, 0);
  const exact = answering.map((row) => (total > 0 ? (100 * row.weight) / total : 100 / answering.length));
  const floors = exact.map(Math.floor);
  const left = 100 - floors.reduce((sum, value) => sum + value, 0);
  const order = exact.map((value, index) => [floors[index] - value, index]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [, index] of order.slice(0, left)) floors[index] += 1;
  const given = new Map(answering.map((row, index) => [row.name, floors[index]]));
  return rows.map((row) => ({ ...row, weight: given.get(row.name) ?? 0 }));
}

/** The plan after one weight was set: the others keep their proportions and share what is left; one alone keeps all. */
export function balanced(rows, name, weight) {
  const others = rows.filter((row) => !row.shadow && row.name !== name);
  if (!others.length) return rounded(rows);
  const wanted = Math.min(100, Math.max(0, Math.round(weight)));
  const rest = others.reduce((sum, row) => sum + row.weight, 0);
  const part = (row) => (rest > 0 ? (row.weight * (100 - wanted)) / rest : (100 - wanted) / others.length);
  return rounded(rows.map((row) => (row.shadow ? row : { ...row, weight: row.name === name ? wanted : part(row) })));
}

/** The plan after a variant became a shadow, or answers again with nothing; the last one that answers goes on answering. */
export function toggled(rows, name) {
  const answering = rows.filter((row) => !row.shadow);
  if (answering.length === 1 && answering[0].name === name) return rows;
  return rounded(rows.map((row) => (row.name === name ? { ...row, shadow: !row.shadow, weight: 0 } : row)));
}

/** The plan with one more variant, which gets nothing yet. */
export function added(rows, choice) {
  if (!choice || rows.some((row) => row.name === choice.name)) return rows;
  return [...rows, { name: choice.name, version: choice.version, shadow: false, weight: 0 }];
}

/** The line that makes the plan true; who gets nothing and is no shadow is left out. */
export function routeLine(endpoint, rows) {
  const shares = rows
    .filter((row) => row.shadow || row.weight > 0)
    .map((row) => `${quoted(row.name)}=${row.shadow ? "shadow" : row.weight}`);
  return `%mlprod route ${quoted(endpoint)} ${shares.join(" ")}`;
}

/** Whether the plan is what serves already. */
export function unchanged(state, rows) {
  return routeLine(state.endpoint, rows) === routeLine(state.endpoint, planOf(state));
}

/** Who would move, in words: one sentence each, and how many stay. */
export function movesInWords(moves, unit) {
  if (!moves.length) return ["Nobody meets another variant than before."];
  const who = unit ? `of ${unit}` : "of the rows";
  const moved = moves.reduce((sum, move) => sum + move.share, 0);
  return [
    ...moves.map((move) => `${percent(move.share)} ${who} would move from ${move.before} to ${move.after}.`),
    `${percent(Math.round(1000 * (100 - moved)) / 1000)} would stay where they are.`,
  ];
}

function sliderRow(row, index, state, ui) {
  const known = state.variants.find((one) => one.variant === row.name);
  const id = `${ui.own.id}-${index}`;
  return h(
    "tr",
    { "data-key": `row ${row.name}` },
    h("th", { scope: "row" }, swatch(index), row.name),
    h(
      "td",
      { class: "mlprod-version" },
      row.version,
      known?.alias_version ? h("div", { class: "mlprod-soft" }, `@${row.name} is ${known.alias_version} by now`) : null,
    ),
    h(
      "td",
      { class: "mlprod-wide" },
      h("input", {
        type: "range",
        class: "mlprod-slider",
        min: 0,
        max: 100,
        step: 1,
        value: row.weight,
        disabled: row.shadow,
        "data-key": `slider ${row.name}`,
        "aria-label": `Share of ${row.name}`,
        "aria-valuetext": `${row.weight} %`,
        oninput: (event) => ui.own.slide(row.name, Number(event.target.value)),
      }),
    ),
    h("td", { class: "mlprod-number mlprod-share" }, row.shadow ? "–" : `${row.weight} %`),
    h(
      "td",
      { class: "mlprod-tight" },
      h(
        "label",
        { class: "mlprod-field", for: id },
        h("input", {
          type: "checkbox",
          id,
          checked: row.shadow,
          "data-key": `shadow ${row.name}`,
          "aria-label": `${row.name} as a shadow`,
          onchange: () => ui.own.change(toggled(ui.own.plan, row.name)),
        }),
        "shadow",
      ),
    ),
  );
}

function adding(state, ui) {
  const free = state.choices.filter((choice) => !ui.own.plan.some((row) => row.name === choice.name));
  if (!free.length) return null;
  const label = (choice) => (choice.name === choice.version ? choice.version : `${choice.name} (${choice.version})`);
  return h(
    "label",
    { class: "mlprod-field" },
    "Add a version",
    h(
      "select",
      {
        "data-key": "add",
        value: "",
        onchange: (event) => ui.own.change(added(ui.own.plan, free.find((choice) => choice.name === event.target.value))),
      },
      h("option", { value: "" }, "…"),
      ...free.map((choice) => h("option", { value: choice.name }, label(choice))),
    ),
  );
}

function preview(state, message, ui) {
  const attributes = { class: "mlprod-preview", "aria-live": "polite", "aria-label": "Who would move", role: "group" };
  const line = lineOf({ line: routeLine(state.endpoint, ui.own.plan) }, "", true);
  if (unchanged(state, ui.own.plan)) return h("div", attributes, h("p", { class: "mlprod-soft" }, "This is what serves now."));
  if (message?.line !== line) return h("div", attributes, h("p", { class: "mlprod-soft" }, "Asking who would move…"));
  if (message.kind === "error") return h("div", attributes, h("p", {}, `✗ ${message.text}`));
  const versions = message.details.traffic.filter((row) => state.variants.some((one) => one.variant === row.variant && one.version !== row.version));
  return h(
    "div",
    attributes,
    ...movesInWords(message.details.moves, state.unit).map((text) => h("p", {}, text)),
    ...versions.map((row) => h("p", {}, `! ${row.variant} would be ${row.version}.`)),
  );
}

function applying(state, ui) {
  const action = { line: routeLine(state.endpoint, ui.own.plan), reason: "optional" };
  const same = unchanged(state, ui.own.plan);
  return h(
    "div",
    { class: "mlprod-strip", role: "group", "aria-label": "Change of the traffic" },
    h("code", {}, lineOf(action, ui.own.reason)),
    h("span", { class: "mlprod-space" }),
    h(
      "label",
      { class: "mlprod-field" },
      "Reason (optional)",
      h("input", { type: "text", "data-key": "why", value: ui.own.reason, oninput: (event) => ui.own.because(event.target.value) }),
    ),
    h(
      "span",
      { class: "mlprod-buttons" },
      button(ui.busy ? "Applying…" : "Apply", {
        class: "mlprod-button mlprod-main",
        "data-key": "apply",
        disabled: ui.busy || same,
        onclick: () => ui.send(lineOf(action, ui.own.reason)),
      }),
      button("Copy", { "data-key": "copy plan", onclick: () => navigator.clipboard?.writeText(lineOf(action, ui.own.reason)) }),
      button("Reset", { "data-key": "reset", disabled: ui.busy || same, onclick: () => ui.own.change(planOf(state)) }),
    ),
  );
}

function earlierRow(row, now) {
  return h(
    "tr",
    {},
    h("td", { class: "mlprod-number" }, String(row.revision)),
    h("th", { scope: "row" }, row.traffic),
    h("td", { class: "mlprod-wide mlprod-soft" }, row.reason),
    h("td", { class: "mlprod-soft mlprod-tight" }, row.actor),
    h("td", { class: "mlprod-soft mlprod-tight" }, ago(row.at, now)),
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  if (ui.own.revision !== state.revision) Object.assign(ui.own, { revision: state.revision, plan: planOf(state), reason: "" });
  const tried = message?.line?.includes(" --dry-run") && message.line.startsWith("%mlprod route ");
  return [
    top(`Traffic of ${state.endpoint}`, state, ui, seen, h("span", { class: "mlprod-soft" }, `revision ${state.revision}`)),
    trafficBar(ui.own.plan.map((row) => ({ variant: row.name, share: row.weight }))),
    h(
      "table",
      { class: "mlprod-plan" },
      h("caption", { class: "mlprod-unseen" }, `Shares of the variants of ${state.endpoint}`),
      h("thead", { class: "mlprod-unseen" }, h("tr", {}, ...["variant", "version", "slider", "share", "shadow"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...ui.own.plan.map((row, index) => sliderRow(row, index, state, ui))),
    ),
    h("div", { class: "mlprod-row mlprod-adding" }, adding(state, ui), h("span", { class: "mlprod-space" }), actionButtons(state.actions, ui)),
    preview(state, message, ui),
    applying(state, ui),
    chosenLine(ui),
    outcome(tried ? null : message),
    listing("Revisions", ["revision", "traffic", "reason", "by", "made"], state.earlier.map((row) => earlierRow(row, seen))),
  ];
}

let views = 0;

/** Ask who would move a moment after the last change, without making anyone wait. */
function started({ model, ui }) {
  let waiting = 0;
  ui.own.id = `mlprod-traffic-${(views += 1)}`;
  ui.own.change = (plan) => {
    ui.own.plan = plan;
    ui.draw();
    clearTimeout(waiting);
    const state = model.get("state");
    if (unchanged(state, plan)) return;
    waiting = setTimeout(() => model.send({ line: lineOf({ line: routeLine(state.endpoint, plan) }, "", true) }), PREVIEW_AFTER_MS);
  };
  // As long as one slider is moved, the others keep the proportions that they had: what is taken is given back.
  ui.own.slide = (name, weight) => {
    if (ui.own.sliding !== name || ui.own.plan !== ui.own.slid) ui.own.base = ui.own.plan;
    ui.own.sliding = name;
    ui.own.slid = balanced(ui.own.base, name, weight);
    ui.own.change(ui.own.slid);
  };
  ui.own.because = (reason) => {
    ui.own.reason = reason;
    ui.draw();
  };
  return () => clearTimeout(waiting);
}

export default panel(page, { started });
