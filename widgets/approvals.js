/** The approvals panel: which versions and reports wait for whom; approve with a reason, try a promotion. */
import { actionButtons, ago, badge, chosenLine, h, outcome, panel, top } from "./base.js";

/** Whom a version waits for, in words. */
export function waitsFor(row) {
  if (!row.missing.length) return "Nothing is missing: the alias may move.";
  const left = row.needed - row.given.length;
  if (left <= 0) return "It waits for its gates.";
  return `It waits for ${left} ${left === 1 ? "approval" : "approvals"} by others than ${row.author}.`;
}

/** Who has approved a report, in words. */
export function approvedBy(row) {
  return row.approved_by.length ? `approved by ${row.approved_by.join(", ")}` : "waits for a reviewer";
}

function aliasCard(row, ui) {
  const ready = !row.missing.length;
  return h(
    "section",
    { class: "mlprod-listing", "aria-label": `${row.alias} to ${row.version}`, "data-key": `alias ${row.alias} ${row.version}` },
    h(
      "div",
      { class: "mlprod-row" },
      h("h4", {}, `${row.alias}: ${row.now || "nothing"} → ${row.version}`),
      badge(ready ? "ok" : "warn", ready ? "Ready" : "Waits"),
      h("span", { class: "mlprod-space" }),
      actionButtons(row.actions, ui),
    ),
    h("p", {}, waitsFor(row)),
    h("ul", { class: "mlprod-missing" }, ...row.missing.map((text) => h("li", {}, text)), ...row.given.map((text) => h("li", {}, `✓ ${text}`)), ...row.lines.map((text) => h("li", {}, h("code", {}, text)))),
  );
}

function reportRow(row, ui, now) {
  return h(
    "tr",
    { "data-key": `report ${row.digest}` },
    h("td", {}, badge(row.status)),
    h("th", { scope: "row" }, `${row.about} ${row.kind}`),
    h("td", { class: "mlprod-wide" }, h("div", {}, row.sentence), h("div", { class: "mlprod-soft" }, `${approvedBy(row)} · ${row.path}`)),
    h("td", { class: "mlprod-soft mlprod-tight" }, ago(row.created_at, now)),
    h("td", { class: "mlprod-tight" }, actionButtons(row.actions, ui)),
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  return [
    top("Approvals", state, ui, seen, h("span", { class: "mlprod-soft" }, `you are ${state.actor}`)),
    chosenLine(ui),
    outcome(message),
    ...state.aliases.map((row) => aliasCard(row, ui)),
    state.reports.length
      ? h(
          "section",
          { class: "mlprod-listing" },
          h(
            "table",
            {},
            h("caption", {}, "Newest reports"),
            h("thead", { class: "mlprod-unseen" }, h("tr", {}, ...["verdict", "report", "conclusion", "made", "action"].map((name) => h("th", { scope: "col" }, name)))),
            h("tbody", {}, ...state.reports.map((row) => reportRow(row, ui, seen))),
          ),
        )
      : h("p", { class: "mlprod-soft" }, "No report waits."),
  ];
}

export default panel(page);
