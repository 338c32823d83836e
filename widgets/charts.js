/** Small pictures of numbers: lines over time with bands, and bars of two sides. All are told in words, too. */
import { aligned, h, number, svg } from "./base.js";

const WIDTH = 440;
const LEFT = 46;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

/** Map values from one range to another. */
export function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** Three to six round numbers that cover a range. */
export function ticks(low, high, most = 5) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / (most - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => span / (power * factor) <= most - 1 + 1e-9) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** A line through points, broken where a value is missing; a point alone becomes a short stroke. */
export function path(points, x, y) {
  let text = "";
  let pen = false;
  points.forEach(([at, value], index) => {
    if (value === null || value === undefined || !Number.isFinite(value)) {
      pen = false;
      return;
    }
    text += `${pen ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    const next = points[index + 1]?.[1];
    if (!pen && (next === null || next === undefined)) text += "h2";
    pen = true;
  });
  return text;
}

/** The area between two lines. */
export function band(points, x, y) {
  const known = points.filter((point) => Number.isFinite(point[1]) && Number.isFinite(point[2]));
  if (known.length < 2) return "";
  const there = known.map(([at, , upper]) => `${x(at).toFixed(1)} ${y(upper).toFixed(1)}`);
  const back = known.toReversed().map(([at, lower]) => `${x(at).toFixed(1)} ${y(lower).toFixed(1)}`);
  return `M${[...there, ...back].join("L")}Z`;
}

/** The smallest and largest of many values, missing ones left out; 0 to 1 where there is none. */
export function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [0, 1];
}

function axis(marks, y, unit, width = WIDTH) {
  return marks.flatMap((mark) => [
    svg("path", { d: `M${LEFT} ${y(mark).toFixed(1)}H${width - RIGHT}`, class: mark === 0 ? "mlprod-zero" : "mlprod-grid" }),
    svg("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, `${number(mark)}${unit}`),
  ]);
}

function figure(label, height, parts, spoken, width = WIDTH) {
  return svg(
    "svg",
    { class: "mlprod-chart", role: "img", "aria-label": `${label}: ${spoken}`, viewBox: `0 0 ${width} ${height}` },
    svg("title", {}, label),
    ...parts,
  );
}

function ends(words, height, width = WIDTH) {
  return [
    svg("text", { x: LEFT, y: height - 6 }, words[0]),
    svg("text", { x: width - RIGHT, y: height - 6, "text-anchor": "end" }, words[1]),
  ];
}

/**
 * Lines over time. Each of `lines` has a name, an index (its hue and dashes) and points [x, value]; `area` has points
 * [x, lower, upper]; `words` stand below the first and the last point.
 */
export function lineChart({ label, lines, area = [], unit = "", words = ["", ""], zero = true, spoken, height = 130, width = WIDTH }) {
  const every = lines.flatMap((line) => line.points);
  const values = [...every.map((point) => point[1]), ...area.flatMap((point) => point.slice(1)), ...(zero ? [0] : [])];
  const marks = ticks(...extent(values));
  const x = scale(...extent([...every, ...area].map((point) => point[0])), LEFT, width - RIGHT);
  const y = scale(marks[0], marks[marks.length - 1], height - BOTTOM, TOP);
  return figure(
    label,
    height,
    [
      ...axis(marks, y, unit, width),
      area.length ? svg("path", { d: band(area, x, y), class: "mlprod-band" }) : null,
      ...lines.map((line) =>
        svg("path", {
          d: path(line.points, x, y),
          class: `mlprod-line mlprod-line-${line.index % 4}`,
          "stroke-dasharray": DASHES[line.index % 4],
        }),
      ),
      ...ends(words, height, width),
    ],
    spoken ?? lines.map((line) => `${line.name} ${number(line.points.at(-1)?.[1] ?? null)}${unit}`).join(", "),
    width,
  );
}

/** Which line is which. */
export function legend(names) {
  return h(
    "div",
    { class: "mlprod-legend" },
    ...names.map((name, index) =>
      h(
        "span",
        {},
        svg(
          "svg",
          { class: "mlprod-key", viewBox: "0 0 26 10", "aria-hidden": "true" },
          svg("path", { d: "M1 5H25", class: `mlprod-line mlprod-line-${index % 4}`, "stroke-dasharray": DASHES[index % 4] }),
        ),
        name,
      ),
    ),
  );
}

/** The reference as filled bars and the window as an outline over them. */
export function bothSides(bars, label, { height = 150 } = {}) {
  return bars.names.length ? categoryBars(bars, label) : numberBars(bars, label, height);
}

function numberBars(bars, label, height) {
  const top = Math.max(...bars.reference, ...bars.window) || 1;
  const marks = ticks(0, 100 * top, 4);
  const x = scale(bars.stops[0], bars.stops.at(-1), LEFT, WIDTH - RIGHT);
  const y = scale(0, marks.at(-1), height - BOTTOM, TOP);
  const base = y(0).toFixed(1);
  const steps = (shares) =>
    `M${x(bars.stops[0]).toFixed(1)} ${base}${shares.map((share, i) => `V${y(100 * share).toFixed(1)}H${x(bars.stops[i + 1]).toFixed(1)}`).join("")}V${base}`;
  return figure(
    label,
    height,
    [
      ...axis(marks, y, " %"),
      svg("path", { d: `${steps(bars.reference)}Z`, class: "mlprod-reference" }),
      svg("path", { d: steps(bars.window), class: "mlprod-window" }),
      ...ends(aligned([bars.stops[0], bars.stops.at(-1)]), height),
    ],
    "reference filled, window as a line",
  );
}

function categoryBars(bars, label) {
  const row = 34;
  const height = TOP + row * bars.names.length;
  const wide = scale(0, Math.max(...bars.reference, ...bars.window) || 1, 0, WIDTH - 100 - 106);
  const shown = bars.names.map((_, i) => aligned([100 * bars.reference[i], 100 * bars.window[i]]).map((share) => `${share} %`));
  const parts = bars.names.flatMap((name, i) => {
    const y = TOP + row * i;
    return [
      svg("text", { x: 94, y: y + 17, "text-anchor": "end" }, name.length > 14 ? `${name.slice(0, 13)}…` : name),
      svg("rect", { x: 100, y: y + 2, width: wide(bars.reference[i]).toFixed(1), height: 11, class: "mlprod-reference" }),
      svg("rect", { x: 100, y: y + 15, width: wide(bars.window[i]).toFixed(1), height: 11, class: "mlprod-filled" }),
      svg("text", { x: WIDTH - 2, y: y + 17, "text-anchor": "end" }, shown[i].join(" → ")),
    ];
  });
  const spoken = bars.names.map((name, i) => `${name} ${shown[i][0]} in the reference, ${shown[i][1]} in the window`);
  return figure(label, height, parts, spoken.join("; "));
}

/** What is filled and what is a line. */
export function sidesLegend() {
  return h(
    "div",
    { class: "mlprod-legend" },
    h("span", {}, svg("svg", { class: "mlprod-key", viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("rect", { width: 26, height: 10, class: "mlprod-reference" })), "reference"),
    h("span", {}, svg("svg", { class: "mlprod-key", viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("path", { d: "M1 5H25", class: "mlprod-window" })), "window"),
  );
}
