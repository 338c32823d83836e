/** The A/B panel: the verdict, the confidence sequence over time, every metric's interval, the segments, and whether the test is in order. */
import { actionButtons, aligned, chosenLine, h, moment, number, outcome, panel, percent, top, verdictLine } from "./base.js";
import { lineChart } from "./charts.js";

/** A difference with its sign and interval. */
export function interval(lift) {
  const values = [lift.difference, ...(lift.difference_lower === null ? [] : [lift.difference_lower, lift.difference_upper])];
  const sizes = aligned(values.map((value) => (typeof value === "number" ? Math.abs(value) : value)));
  const [difference, lower, upper] = values.map((value, index) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${sizes[index]}`);
  return lower === undefined ? difference : `${difference} (${lower} to ${upper})`;
}

/** What a metric's interval says, in a word. */
export function reading(lift) {
  if (!lift.significant || lift.difference === null) return "no certain difference";
  if (lift.better === "same") return "moved";
  return lift.difference > 0 === (lift.better === "higher") ? "better" : "worse";
}

/** The sequence as a chart's points. */
export function pathOf(result) {
  const at = (point) => Date.parse(point.time);
  return {
    line: result.path.map((point) => [at(point), point.difference]),
    area: result.path.map((point) => [at(point), point.lower, point.upper]),
  };
}

/** Whom the split gave how many, in words. */
export function splitWord(ratio) {
  const total = Object.values(ratio.observed).reduce((sum, count) => sum + count, 0);
  return Object.entries(ratio.observed)
    .map(([name, count]) => `${name} ${number(count)} units, ${percent(total ? Math.round((1000 * count) / total) / 10 : 0)} (designed ${percent(Math.round(1000 * ratio.expected[name]) / 10)})`)
    .join("; ");
}

function sequence(result) {
  const lift = result.metrics[0];
  if (!result.path.length || !lift) return null;
  const { line, area } = pathOf(result);
  const chart = (width) =>
    lineChart({
      label: title,
      lines: [{ name: lift.metric, index: 0, points: line }],
      area,
      height: 190,
      width,
      words: [moment(result.path[0].time), moment(result.path.at(-1).time)],
      spoken: `at the last of ${result.path.length} moments ${interval(lift)}`,
    });
  const title = `${lift.metric}: ${lift.arm || "treatment"} minus control, ${lift.better} is better`;
  return h(
    "figure",
    { class: "mlprod-figure mlprod-sequence" },
    h("figcaption", {}, title),
    h("div", { class: "mlprod-soft" }, `${percent(100 * lift.confidence)} interval as it stood at each moment; the last one decides`),
    // Drawn twice, so that the words stay legible where there is little room: the style shows one.
    h("div", { class: "mlprod-roomy" }, chart(690)),
    h("div", { class: "mlprod-cramped" }, chart(330)),
  );
}

/** The cells of a difference; each keeps its column's name for where the heads are not shown. */
function figures(lift) {
  const [control, treatment] = aligned([lift.control, lift.treatment]);
  const named = { control, treatment, difference: interval(lift) };
  return Object.entries(named).map(([name, text]) => h("td", { "data-name": name }, text));
}

function metrics(result) {
  const names = ["metric", "control", "treatment", "difference", "reading"];
  return h(
    "section",
    { class: "mlprod-listing" },
    h(
      "table",
      { class: "mlprod-lifts" },
      h("caption", {}, "Metrics"),
      h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)))),
      h(
        "tbody",
        {},
        ...result.metrics.map((lift) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, lift.metric, h("span", { class: "mlprod-soft" }, lift.role === "primary" ? " decides" : " guardrail")),
            ...figures(lift),
            h("td", {}, reading(lift)),
          ),
        ),
      ),
    ),
  );
}

/** The segments, the certain ones first; what is said above the table. */
export function segmentsOf(result) {
  const found = result.segments ?? [];
  const sure = found.filter((lift) => lift.significant);
  const about = sure.length ? `${sure.length} of ${found.length} certainly ${sure.length === 1 ? "differs" : "differ"}` : `none of ${found.length} certainly differs`;
  return { rows: [...sure, ...found.filter((lift) => !lift.significant)], about: `${about}; corrected for all of them` };
}

function segments(result) {
  const { rows, about } = segmentsOf(result);
  if (!rows.length) return null;
  const names = ["segment", "control", "treatment", "difference", "reading"];
  return h(
    "section",
    { class: "mlprod-listing" },
    h(
      "table",
      { class: "mlprod-lifts" },
      h("caption", {}, "Segments ", h("span", { class: "mlprod-soft" }, about)),
      h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)))),
      h(
        "tbody",
        {},
        ...rows.map((lift) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, `${lift.by}: ${lift.segment}`),
            ...figures(lift),
            h("td", {}, lift.reading),
          ),
        ),
      ),
    ),
  );
}

function health(result) {
  return h(
    "section",
    { class: "mlprod-listing" },
    h("h4", {}, "Is the test in order?"),
    h(
      "ul",
      { class: "mlprod-health" },
      ...result.health.map((check) => h("li", {}, h("span", {}, check.ok ? "✓ " : "✗ "), h("span", { class: "mlprod-unseen" }, check.ok ? "in order: " : "not in order: "), `${check.check}: ${check.found}`)),
    ),
    h("p", { class: "mlprod-soft" }, splitWord(result.sample_ratio)),
    ...result.notes.map((note) => h("p", { class: "mlprod-soft" }, note)),
  );
}

/** The panel's elements. */
export function page(state, message, ui, seen) {
  const { result } = state;
  const ended = state.stopped ? [h("span", { class: "mlprod-soft" }, "ended")] : [];
  return [
    top(`A/B test of ${state.endpoint}`, state, ui, seen, ...ended),
    verdictLine(state.verdict),
    h("div", { class: "mlprod-row" }, h("span", { class: "mlprod-soft" }, result ? `${result.design}; ${number(result.rows)} predictions` : ""), h("span", { class: "mlprod-space" }), actionButtons(state.actions, ui)),
    chosenLine(ui),
    outcome(message),
    ...(result ? [sequence(result), metrics(result), segments(result), health(result)] : []),
    result?.power_left ? h("p", { class: "mlprod-soft" }, result.power_left) : null,
  ];
}

export default panel(page);
