/** The jobs panel: what runs when, how the last runs ended, what they wrote; run now. */
import { actionButtons, ago, chosenLine, h, moment, outcome, panel, top } from "./base.js";

const MARKS = { ok: "✓", running: "…", "verdict: no": "!" };

/** A run's ending as a mark and words; what it says in brackets, as of an attempt, is no part of how it ended. */
export function ending(run) {
  return { mark: MARKS[run.ending.replace(/ \(.*\)$/, "")] ?? "✗", text: run.ending };
}

/** How long a run took, in words; nothing while it runs. */
export function took(run) {
  const seconds = (Date.parse(run.finished_at ?? "") - Date.parse(run.started_at)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  return seconds < 90 ? `${Math.max(0, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

function runItem(run, now) {
  const { mark, text } = ending(run);
  const spent = took(run);
  return h("li", { title: moment(run.slot) }, h("span", { "aria-hidden": "true" }, `${mark} `), `${text}, ${ago(run.slot, now)}`, spent ? h("span", { class: "mlprod-soft" }, ` (${spent})`) : null);
}

function jobCard(job, ui, now) {
  const open = ui.own.open.has(job.job);
  return h(
    "section",
    { class: "mlprod-listing", "aria-label": `Job ${job.job}`, "data-key": `job ${job.job}` },
    h(
      "div",
      { class: "mlprod-row" },
      h("span", { class: "mlprod-soft" }, String(job.job)),
      h("h4", {}, h("code", {}, job.command)),
      h("span", { class: "mlprod-space" }),
      actionButtons(job.actions, ui),
    ),
    h("p", { class: "mlprod-soft" }, `${job.cron} (${job.timezone})${job.next_at ? `, next ${ago(job.next_at, now)}` : ""}`),
    job.runs.length ? h("ol", { class: "mlprod-runs" }, ...job.runs.map((run) => runItem(run, now))) : h("p", { class: "mlprod-soft" }, "It has not run yet."),
    job.failure ? h("p", {}, `Its last run: ${job.failure}`) : null,
    job.output
      ? h("button", { type: "button", class: "mlprod-button", "aria-expanded": String(open), "aria-label": `What job ${job.job} wrote last`, "data-key": `open ${job.job}`, onclick: () => ui.own.toggle(job.job) }, `${open ? "▾" : "▸"} What it wrote last`)
      : null,
    open ? h("pre", { class: "mlprod-output", tabindex: 0, role: "region", "aria-label": `Output of job ${job.job}` }, job.output) : null,
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  return [
    top("Jobs", state, ui, seen),
    h("div", { class: "mlprod-row" }, h("span", { class: "mlprod-soft" }, `The scheduler is ${state.scheduler}`), actionButtons(state.actions, ui)),
    chosenLine(ui),
    outcome(message),
    state.jobs.length ? null : h("p", { class: "mlprod-soft" }, 'No job is scheduled: %mlprod schedule add "0 6 * * 1" "report NAME drift --since 7d"'),
    ...state.jobs.map((job) => jobCard(job, ui, seen)),
  ];
}

function started({ ui }) {
  ui.own.open = new Set();
  ui.own.toggle = (job) => {
    if (!ui.own.open.delete(job)) ui.own.open.add(job);
    ui.draw();
  };
}

export default panel(page, { started });
