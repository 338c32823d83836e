/** The live panel: requests, errors, times, scores and truth by variant, as they come. */
import { actionButtons, ago, aligned, chosenLine, counted, h, listing, number, outcome, panel, percents, swatch, top, verdictLine } from "./base.js";
import { bothSides, legend, lineChart, sidesLegend } from "./charts.js";

const SAY_EVERY_MS = 20_000;

/** How long the watch has gone on, in words. */
export function lasting(times) {
  const seconds = times.length > 1 ? times.at(-1) - times[0] : 0;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A time in milliseconds as people read it. */
export function duration(ms) {
  if (typeof ms !== "number" || !Number.isFinite(ms)) return "–";
  return ms >= 1000 ? `${number(ms / 1000)} s` : `${number(ms)} ms`;
}

/** How many came true, in words. */
export function truthWord(truth) {
  const values = [truth.value, truth.lower, truth.upper];
  const [value, lower, upper] = truth.metric === "accuracy" ? percents(values.map((each) => 100 * each)) : aligned(values);
  return `${value} (${lower} to ${upper})`;
}

/** The rows of the table: the last seconds where the panel has watched, else all since the gateway started. */
export function rowsOf(state, live) {
  if (live?.last?.length) return { caption: "In the last 5 seconds", each: " /s", rows: live.last };
  return { caption: "Since the gateway started", each: "", rows: state.variants };
}

function watching(live, ui) {
  const paused = ui.own.paused;
  const problem = live?.problem;
  const [mark, word] = problem ? ["✗", problem] : paused ? ["❚❚", "Paused"] : live?.at ? ["●", "Live, once a second"] : ["…", "Beginning to watch"];
  return h(
    "div",
    { class: "mlprod-row mlprod-watching" },
    h("span", { class: "mlprod-soft" }, h("span", { "aria-hidden": "true" }, `${mark} `), live?.refused > 0 ? `${word}; ${number(live.refused)} requests a second end with an error` : word),
    h("span", { class: "mlprod-space" }),
    h("button", { type: "button", class: "mlprod-button", "data-key": "pause", onclick: ui.own.toggle }, paused ? "Go on" : "Pause"),
  );
}

function table(state, live) {
  const { caption, each, rows } = rowsOf(state, live);
  const names = ["variant", "requests", "errors", "p50", "p95", "p99", "rows a request", "rows a batch"];
  return h(
    "section",
    { class: "mlprod-listing" },
    h(
      "table",
      { class: "mlprod-live" },
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, ...names.map((name, i) => h("th", { scope: "col", class: i ? "mlprod-number" : "" }, name)))),
      h(
        "tbody",
        {},
        ...rows.map((row, index) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, swatch(index), row.variant),
            ...[
              ["requests", `${number(row.requests)}${each}`],
              ["errors", `${number(row.errors)}${each}`],
              ["p50", duration(row.p50_ms)],
              ["p95", duration(row.p95_ms)],
              ["p99", duration(row.p99_ms)],
              ["rows a request", number(row.rows_each)],
              ["rows a batch", number(row.batch_rows)],
            ].map(([name, text]) => h("td", { class: "mlprod-number", "data-name": name }, text)),
          ),
        ),
      ),
    ),
  );
}

function graph(title, key, chart) {
  return h("figure", { class: "mlprod-figure" }, h("figcaption", {}, title), key, chart);
}

function moving(live) {
  if (!live?.times?.length) return [];
  const lines = (values) => live.names.map((name, index) => ({ name, index, points: live.times.map((at, i) => [at, values[index][i]]) }));
  const words = [`${lasting(live.times)} ago`, "now"];
  return [
    graph("Requests a second", legend(live.names), lineChart({ label: "Requests a second", lines: lines(live.requests), words })),
    graph("Latency, p95, ms", legend(live.names), lineChart({ label: "Latency, p95", lines: lines(live.p95_ms), unit: "", words })),
    ...doing(live, words),
  ];
}

const MOST_LINES = 4;

function doing(live, words) {
  const rows = (live.reactions ?? []).filter((row) => row.a_minute.some((rate) => rate > 0)).slice(0, MOST_LINES);
  if (!rows.length) return [];
  const lines = rows.map((row, index) => ({ name: row.title, index, points: live.times.map((at, i) => [at, row.a_minute[i]]) }));
  const title = "Interactions and rewards a minute";
  return [graph(title, legend(rows.map((row) => row.title)), lineChart({ label: title, lines, words }))];
}

/** What the table of what came true is called: rows without a label are none of its. */
export function truthTitle(metric, labelled) {
  const name = `${metric[0].toUpperCase()}${metric.slice(1)}`;
  return labelled ? `${name} of the newest ${counted(labelled, "row")} with a label (95 % interval)` : `${name}: no label has come yet (95 % interval)`;
}

function truths(recent) {
  if (!recent.truths.length) return null;
  const metric = recent.truths[0].metric;
  return h(
    "table",
    { class: "mlprod-truth" },
    h("caption", {}, truthTitle(metric, recent.labelled)),
    h("thead", { class: "mlprod-unseen" }, h("tr", {}, ...["variant", metric, "rows"].map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...recent.truths.map((truth) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, truth.variant),
          h("td", { class: "mlprod-number" }, truthWord(truth)),
          h("td", { class: "mlprod-soft mlprod-number" }, counted(truth.rows, "row")),
        ),
      ),
    ),
  );
}

/** A share of predictions, or a mean reward, with its interval. */
export function shareWord(share) {
  const known = [share.value, share.lower, share.upper].filter((value) => value !== null);
  const [value, lower, upper] = share.kind === "interaction" ? percents(known.map((each) => 100 * each)) : aligned(known);
  return known.length < 3 ? value : `${value} (${lower} to ${upper})`;
}

function users(live, state) {
  const rows = (live?.at ? live.reactions : state.reactions) ?? [];
  if (!rows.length) return null;
  const order = live?.at ? live.names : state.variants.map((row) => row.variant);
  const place = (variant) => (order.includes(variant) ? order.indexOf(variant) : order.length);
  const known = [...new Set(rows.flatMap((row) => row.shares.map((share) => share.variant)))];
  const variants = known.sort((a, b) => place(a) - place(b));
  const cell = (row, variant) => row.shares.find((share) => share.variant === variant);
  return h(
    "section",
    { class: "mlprod-listing mlprod-users" },
    h(
      "table",
      { class: "mlprod-live" },
      h("caption", {}, "What users do; by variant: the share, or mean, of the newest predictions"),
      h("thead", {}, h("tr", {}, ...["interaction or reward", "a minute", "since the start", ...variants].map((name, i) => h("th", { scope: "col", class: i ? "mlprod-number" : "" }, name)))),
      h(
        "tbody",
        {},
        ...rows.map((row) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, row.title),
            h("td", { class: "mlprod-number", "data-name": "a minute" }, number(row.a_minute.at(-1) ?? null)),
            h("td", { class: "mlprod-number", "data-name": "since the start" }, number(row.since_start)),
            ...variants.map((variant) => h("td", { class: "mlprod-number", "data-name": variant }, cell(row, variant) ? shareWord(cell(row, variant)) : "–")),
          ),
        ),
      ),
    ),
  );
}

const STEP_MARKS = { done: "✓", stands: "●", begun: "…", paused: "❚❚", reverting: "↩", "rolled back": "✗", refused: "✗", stopped: "✗" };

/** The mark of a release's step: what is done, where it stands, what is to come. */
export function stepMark(state) {
  return STEP_MARKS[state] ?? "○";
}

function stepRow(step, seen) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", { "aria-hidden": "true" }, `${stepMark(step.state)} `), step.what),
    h("td", { class: "mlprod-tight" }, step.state),
    h("td", { class: "mlprod-soft mlprod-tight" }, step.since ? ago(step.since, seen) : ""),
    h("td", { class: "mlprod-wide mlprod-soft" }, step.rests_on),
  );
}

/** The release that is under way: how it stands, its steps, and what may be said to it. */
function releasing(release, ui, seen) {
  if (!release) return null;
  return h(
    "section",
    { class: "mlprod-release", "aria-label": "Release" },
    verdictLine(release),
    listing("Steps of the release", ["step", "state", "since", "rests on"], release.steps.map((step) => stepRow(step, seen))),
    h("div", { class: "mlprod-row" }, actionButtons(release.actions, ui)),
    chosenLine(ui),
  );
}

/** What the newest rows of the log say, or why they say nothing. */
function newest(recent) {
  if (!recent) return h("p", { class: "mlprod-soft" }, "The log has no rows yet.");
  return recent.problem ? h("p", {}, `✗ The newest rows are ${recent.problem}`) : truths(recent);
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  const live = ui.own.live;
  const recent = live?.recent ?? state.recent;
  const title = `Scores of ${recent?.version}, newest ${counted(recent?.rows ?? 0, "row")}`;
  const graphs = [...moving(live), recent?.scores ? graph(title, sidesLegend(), bothSides(recent.scores, title)) : null];
  return [
    top(`Live: ${state.endpoint}`, state, ui, seen, h("span", { class: "mlprod-soft" }, `revision ${state.revision}`)),
    watching(live, ui),
    releasing(live?.at ? live.release : state.release, ui, live?.at ? Date.parse(live.at) : seen),
    outcome(message),
    state.problem && !live?.at ? h("p", {}, `✗ ${state.problem}`) : null,
    table(state, live),
    users(live, state),
    h("div", { class: "mlprod-figures" }, ...graphs, newest(recent)),
  ];
}

/** Say that somebody watches, now and then, and show what comes of it. */
function started({ model, ui }) {
  const say = () => model.send({ watching: !ui.own.paused });
  const onLive = () => {
    ui.own.live = model.get("live");
    ui.draw();
  };
  ui.own.live = model.get("live");
  ui.own.toggle = () => {
    ui.own.paused = !ui.own.paused;
    say();
    ui.draw();
  };
  model.on("change:live", onLive);
  say();
  const timer = setInterval(() => ui.own.paused || say(), SAY_EVERY_MS);
  return () => {
    clearInterval(timer);
    model.off("change:live", onLive);
    model.send({ watching: false });
  };
}

export default panel(page, { started });
