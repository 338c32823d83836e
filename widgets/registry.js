/** The registry panel: versions with metrics, lineage, aliases and notes; two to compare; check, deploy, promote. */
import { actionButtons, aligned, ago, chosenLine, h, number, outcome, panel, top } from "./base.js";

/** The versions of one model. */
export function versionsOf(state, model) {
  return state.versions.filter((row) => row.version.startsWith(`${model}/`));
}

/** How two versions differ, fact by fact; what is equal is told so, and what one lacks is a dash. */
export function compared(first, second) {
  const metrics = [...new Set([...Object.keys(first.metrics), ...Object.keys(second.metrics)])];
  const facts = [...new Set([...Object.keys(first.lineage), ...Object.keys(second.lineage)])];
  const row = (name, a, b, change = "") => ({ name, first: a || "–", second: b || "–", change: change || (a === b ? "same" : "differs") });
  return [
    ...metrics.map((name) => {
      const [a, b] = [first.metrics[name], second.metrics[name]];
      const change = typeof a === "number" && typeof b === "number" ? signed(b - a) : "";
      return row(name.replaceAll("_", " "), ...aligned([a, b]), change);
    }),
    ...facts.map((name) => row(name, first.lineage[name], second.lineage[name])),
    row("runtime", first.runtime, second.runtime),
    row("note", first.note, second.note),
  ];
}

/** A difference with its sign; nothing where there is none. */
export function signed(value) {
  return value === 0 ? "same" : `${value > 0 ? "+" : "−"}${number(Math.abs(value))}`;
}

/** The two that are compared after one more was ticked or unticked: the newest choice takes the oldest one's place. */
export function ticked(chosen, version) {
  return chosen.includes(version) ? chosen.filter((one) => one !== version) : [...chosen, version].slice(-2);
}

function choice(state, ui) {
  if (state.models.length < 2) return null;
  return h(
    "label",
    { class: "mlprod-field" },
    "Model",
    h(
      "select",
      { "data-key": "model", value: ui.own.model, onchange: (event) => ui.own.choose(event.target.value) },
      ...state.models.map((name) => h("option", { value: name }, name)),
    ),
  );
}

function versionRow(row, ui, seen) {
  const chosen = ui.own.chosen.includes(row.version);
  return h(
    "tr",
    { "data-key": `version ${row.version}` },
    h(
      "th",
      { scope: "row" },
      h(
        "label",
        { class: "mlprod-pick" },
        h("input", { type: "checkbox", checked: chosen, "data-key": `compare ${row.version}`, "aria-label": `Compare ${row.version}`, onchange: () => ui.own.tick(row.version) }),
        row.version,
      ),
      h("div", { class: "mlprod-tags" }, ...row.aliases.map((alias) => h("span", { class: "mlprod-tag" }, `@${alias}`))),
    ),
    h(
      "td",
      { class: "mlprod-wide" },
      h("div", {}, row.note || h("span", { class: "mlprod-soft" }, "no note")),
      h("div", { class: "mlprod-soft" }, [row.serves.length ? `serves ${row.serves.join(", ")}` : "", row.author, ago(row.created_at, seen)].filter(Boolean).join(" · ")),
      details(row, ui),
    ),
    h("td", { class: "mlprod-metrics" }, ...Object.entries(row.metrics).slice(0, 3).map(([name, value]) => h("div", {}, h("span", { class: "mlprod-soft" }, `${name.replaceAll("_", " ")} `), number(value)))),
    h("td", { class: "mlprod-tight" }, actionButtons(row.actions, ui)),
  );
}

function details(row, ui) {
  const open = ui.own.open.has(row.version);
  return h(
    "div",
    {},
    h(
      "button",
      { type: "button", class: "mlprod-link", "aria-expanded": String(open), "aria-label": `Where ${row.version} comes from`, "data-key": `open ${row.version}`, onclick: () => ui.own.toggle(row.version) },
      `${open ? "▾" : "▸"} Where it comes from`,
    ),
    open ? h("dl", { class: "mlprod-facts" }, ...Object.entries(row.lineage).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])) : null,
  );
}

function comparison(state, ui) {
  const [first, second] = ui.own.chosen.map((version) => state.versions.find((row) => row.version === version));
  const attributes = { class: "mlprod-listing", "aria-live": "polite", hidden: !ui.own.chosen.length };
  if (!first) return h("section", attributes);
  if (!second) return h("section", attributes, h("p", { class: "mlprod-soft" }, `Tick another version to compare with ${first.version}.`));
  return h(
    "section",
    attributes,
    h(
      "table",
      { class: "mlprod-compare" },
      h("caption", {}, `${first.version} and ${second.version}`),
      h("thead", {}, h("tr", {}, ...["", first.version, second.version, "change"].map((name, i) => (i ? h("th", { scope: "col" }, name) : h("td", {}))))),
      h("tbody", {}, ...compared(first, second).map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), h("td", {}, row.first), h("td", {}, row.second), h("td", { class: "mlprod-soft mlprod-tight" }, row.change)))),
    ),
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  if (!state.models.includes(ui.own.model)) ui.own.model = state.models[0] ?? "";
  const rows = versionsOf(state, ui.own.model);
  return [
    top(state.models.length === 1 ? `Versions of ${ui.own.model}` : "Registry", state, ui, seen, choice(state, ui)),
    chosenLine(ui),
    outcome(message),
    rows.length ? null : h("p", { class: "mlprod-soft" }, "No model is registered yet: %mlprod register NAME --model $model --data $X --target $y"),
    comparison(state, ui),
    h(
      "section",
      { class: "mlprod-listing", hidden: !rows.length },
      h(
        "table",
        { class: "mlprod-versions" },
        h("caption", { class: "mlprod-unseen" }, `Versions of ${ui.own.model}`),
        h("thead", { class: "mlprod-unseen" }, h("tr", {}, ...["version", "note", "metrics", "actions"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...rows.map((row) => versionRow(row, ui, seen))),
      ),
    ),
  ];
}

function started({ ui }) {
  Object.assign(ui.own, { model: "", chosen: [], open: new Set() });
  ui.own.choose = (model) => {
    Object.assign(ui.own, { model, chosen: [] });
    ui.draw();
  };
  ui.own.tick = (version) => {
    ui.own.chosen = ticked(ui.own.chosen, version);
    ui.draw();
  };
  ui.own.toggle = (version) => {
    if (!ui.own.open.delete(version)) ui.own.open.add(version);
    ui.draw();
  };
}

export default panel(page, { started });
