/** The drift panel: features by impact, the reference against a window, and a slider through time. */
import { actionButtons, chosenLine, h, moment, number, outcome, panel, percent, quoted, top, verdictLine } from "./base.js";
import { bothSides, sidesLegend } from "./charts.js";

const READ_AFTER_MS = 400;

/** A window in words: the day alone where it is a whole one, in UTC. */
export function windowWord(window) {
  if (!window) return "all of the log";
  const short = (text) => moment(text).replace(/ 00:00$/, "");
  return `${short(window.since)} to ${short(window.until)}`;
}

/** Where the slider stands: 0 is all of the log, then the windows in their order. */
export function placeOf(state) {
  return 1 + state.windows.findIndex((window) => window.since === state.since && window.until === state.until);
}

/** The line that shows a place of the slider. */
export function lineAt(state, place) {
  const window = state.windows[place - 1];
  const whole = `%mlprod panel drift ${quoted(state.endpoint)}`;
  return window ? `${whole} --since ${window.since} --until ${window.until}` : whole;
}

/** Whether another window was asked for than is shown, since the kernel is busy or reads still. */
export function awaits(state, place) {
  return place !== undefined && place !== placeOf(state);
}

/** What is told of the rows that are shown. */
export function aboutRows(state, { busy = false, place } = {}) {
  if (awaits(state, place)) return `Waiting for the kernel. What is shown is of ${windowWord(state.windows[placeOf(state) - 1])}.`;
  if (busy) return "Reading…";
  return state.model_version ? `${number(state.rows)} predictions against the reference of ${state.model_version}` : "";
}

/** A column's name; those of the model's own outcomes stand between underscores. */
export function columnName(drift) {
  return drift.column.replace(/^__(.+)__$/, "$1");
}

/** What a column is judged to be, as a mark and a word. */
export function judged(drift) {
  if (drift.drifted) return ["!", "drifted"];
  return drift.p_value === null ? ["–", "not tested"] : ["✓", "no drift"];
}

/** How much a column matters, in percent of the one that matters most in this window; "–" where that is not known. */
export function weight(drift, features) {
  const most = Math.max(0, ...features.map((feature) => feature.drift.impact ?? 0));
  return drift.impact === null || most === 0 ? null : (100 * drift.impact) / most;
}

function slider(state, ui) {
  const place = ui.own.place ?? placeOf(state);
  const words = windowWord(state.windows[place - 1]);
  return h(
    "div",
    { class: "mlprod-row mlprod-time" },
    h("label", { class: "mlprod-field", for: ui.own.id }, "Window"),
    h("input", {
      type: "range",
      id: ui.own.id,
      class: "mlprod-slider",
      min: 0,
      max: state.windows.length,
      step: 1,
      value: place,
      disabled: !state.windows.length,
      "data-key": "time",
      "aria-valuetext": words,
      oninput: (event) => ui.own.move(Number(event.target.value)),
    }),
    h("span", { class: "mlprod-window-word" }, words),
  );
}

function featureRow(feature, features, ui) {
  const { drift } = feature;
  const [mark, word] = judged(drift);
  const share = weight(drift, features);
  const chosen = ui.own.column === drift.column;
  return h(
    "tr",
    { "data-key": `feature ${drift.column}` },
    h("th", { scope: "row" }, h("button", { type: "button", class: "mlprod-pick-column", "aria-pressed": String(chosen), "data-key": `column ${drift.column}`, onclick: () => ui.own.choose(drift.column) }, columnName(drift))),
    h("td", { class: "mlprod-tight" }, h("span", { "aria-hidden": "true" }, `${mark} `), word),
    h("td", { class: "mlprod-impact" }, share === null ? h("span", { class: "mlprod-soft" }, "–") : h("span", { class: "mlprod-meter", role: "img", "aria-label": `impact ${percent(Math.round(share))} of the largest` }, h("span", { style: { width: `${share.toFixed(1)}%` } }))),
    h("td", { class: "mlprod-number", title: "the share of the rows that would have to change to undo the difference" }, drift.effect === null ? "–" : percent(Math.round(1000 * drift.effect) / 10)),
  );
}

function table(state, ui) {
  return h(
    "div",
    { class: "mlprod-scroll", tabindex: 0, role: "region", "aria-label": "Features by impact" },
    h(
      "table",
      { class: "mlprod-features" },
      h("caption", { class: "mlprod-unseen" }, "Features by impact"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "feature"), h("th", { scope: "col" }, "judged"), h("th", { scope: "col" }, "impact"), h("th", { scope: "col", class: "mlprod-number" }, "effect"))),
      h("tbody", {}, ...state.features.map((feature) => featureRow(feature, state.features, ui))),
    ),
  );
}

function shown(state, ui) {
  const feature = state.features.find((one) => one.drift.column === ui.own.column) ?? state.features[0];
  if (!feature) return null;
  const { drift, bars } = feature;
  const tested = drift.p_value_corrected === null ? "" : `${drift.detector}, corrected p ${number(drift.p_value_corrected)}`;
  return h(
    "figure",
    { class: "mlprod-figure", "aria-live": "polite" },
    h("figcaption", {}, columnName(drift)),
    bars ? sidesLegend() : null,
    bars ? bothSides(bars, columnName(drift)) : h("p", { class: "mlprod-soft" }, "There is no picture of it."),
    h("p", {}, drift.statement),
    h("p", { class: "mlprod-soft" }, tested),
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  if (!state.features.some((feature) => feature.drift.column === ui.own.column)) ui.own.column = state.features[0]?.drift.column;
  const waits = awaits(state, ui.own.place);
  const whole = { class: waits && "mlprod-past", "aria-busy": String(waits) };
  return [
    top(`Drift of ${state.endpoint}`, state, ui, seen),
    h("div", whole, verdictLine(state.verdict)),
    slider(state, ui),
    h("div", { class: "mlprod-row" }, h("code", {}, lineAt(state, ui.own.place ?? placeOf(state))), h("span", { class: "mlprod-space" }), actionButtons(state.actions, ui)),
    h("p", { class: waits ? "mlprod-waits" : "mlprod-soft", role: "status" }, aboutRows(state, { busy: ui.busy, place: ui.own.place })),
    chosenLine(ui),
    outcome(message),
    h("div", whole, h("div", { class: "mlprod-figures" }, state.features.length ? table(state, ui) : null, shown(state, ui))),
  ];
}

let views = 0;

/** Read a window a moment after the slider has come to rest. */
function started({ model, ui }) {
  let waiting = 0;
  let asked = "";
  ui.own.id = `mlprod-drift-${(views += 1)}`;
  ui.own.choose = (column) => {
    ui.own.column = column;
    ui.draw();
  };
  ui.own.move = (place) => {
    ui.own.place = place;
    asked = "";
    ui.draw();
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      asked = lineAt(model.get("state"), place);
      model.send({ line: asked });
    }, READ_AFTER_MS);
  };
  const onState = () => {
    // What was asked for has come, by its place or, where windows were added, by its line; until then the slider stays
    // where it was put.
    const state = model.get("state");
    if (ui.own.place !== placeOf(state) && state.refresh !== asked) return;
    ui.own.place = undefined;
    ui.draw();
  };
  const onMessage = () => {
    // A window that cannot be read is waited for no longer: the slider goes back to what is shown.
    if (model.get("message").kind !== "error") return;
    ui.own.place = undefined;
    ui.draw();
  };
  model.on("change:state", onState);
  model.on("change:message", onMessage);
  return () => {
    clearTimeout(waiting);
    model.off("change:state", onState);
    model.off("change:message", onMessage);
  };
}

export default panel(page, { started });
