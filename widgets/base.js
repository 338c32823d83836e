/**
 * What every panel is made of. Python sends `state` (what is there, and the lines that may come next) and `message` (how
 * the last line ended); a panel shows them and sends `{line}` when one is run. All text goes in as text, never as HTML.
 *
 * A front end loads a panel from a Blob URL, which can import no sibling: Python puts this module before the panel's.
 */

const WORDS = {
  ok: ["✓", "OK"],
  warn: ["!", "Warning"],
  alarm: ["✗", "Alarm"],
};
const SVG = "http://www.w3.org/2000/svg";
const TEXT_ONLY = ["option", "title", "textarea"];
const HANDLERS = ["onclick", "oninput", "onchange"];

/** A verdict's symbol and word; an unknown status is shown as it is. */
export function verdictWord(status) {
  return WORDS[status] ?? ["?", String(status)];
}

/** A share in percent as people write it: 50 %, 33.3 %, <0.1 %. */
export function percent(share) {
  const value = Number(share);
  if (share === null || !Number.isFinite(value)) return "–";
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${Number.isInteger(value) ? value : value.toFixed(1)} %`;
}

/** A number with as many digits as one reads at a glance: 1,234, 0.142, 3.1e-7; a dash where there is none. */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size < 0.0001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** Numbers that are read beside each other, with as many decimals each: 0.140 beside 0.151, as far as three digits reach. */
export function aligned(values) {
  const texts = values.map(number);
  if (!texts.every((text) => /^-?\d+(\.\d+)?$/.test(text))) return texts;
  const decimals = texts.map((text) => text.split(".")[1] ?? "");
  const most = Math.max(...decimals.map((part) => part.length));
  return values.map((value, index) => {
    const whole = String(Math.trunc(Math.abs(value)));
    const room = whole === "0" ? 3 + decimals[index].match(/^0*/)[0].length : 3 - whole.length;
    return value.toFixed(Math.max(Math.min(most, value === 0 ? most : room), decimals[index].length));
  });
}

/** Shares in percent, read beside each other: all with a decimal where one has any. */
export function percents(shares) {
  const whole = shares.every((share) => Number.isInteger(Math.round(10 * share) / 10));
  return shares.map((share) => `${share.toFixed(whole ? 0 : 1)} %`);
}

/** A number with what it counts, in the plural where it is not one. */
export function counted(count, thing) {
  return `${number(count)} ${thing}${count === 1 ? "" : "s"}`;
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

/** How long ago (or in how long) a moment is, from the present in milliseconds: "3 min ago", "in 2 h". */
export function ago(moment, now) {
  const then = Date.parse(moment ?? "");
  if (Number.isNaN(then)) return "";
  const seconds = Math.round((now - then) / 1000);
  const size = Math.abs(seconds);
  if (size < 45) return seconds < 0 ? "in a moment" : "just now";
  const units = [["y", 31557600], ["d", 86400], ["h", 3600], ["min", 60]];
  const [name, length] = units.find(([, span]) => size >= span) ?? ["min", 60];
  const count = Math.max(1, Math.round(size / length));
  return seconds < 0 ? `in ${count} ${name}` : `${count} ${name} ago`;
}

/** A moment as people read it, in UTC to the minute. */
export function moment(text) {
  const then = Date.parse(text ?? "");
  return Number.isNaN(then) ? "" : new Date(then).toISOString().slice(0, 16).replace("T", " ");
}

/** A text as one word of a command line; a shell and the grammar read it back as it is. */
export function quoted(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return /["\\$`!\n]/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`;
}

/** The line that an action runs: with the reason that was written, or as a dry run. */
export function lineOf(action, reason = "", dry = false) {
  const why = action.reason && reason.trim() ? ` --reason ${quoted(reason.trim())}` : "";
  return `${action.line}${dry ? " --dry-run" : ""}${why}`;
}

/** A text in pieces; every second one stays on one line: dates, shares, and options of a line. */
export function pieces(text) {
  return text.split(/((?<![\w-])(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?)?|--[a-z][a-z-]*|\d[\d.,]* %)(?![\w-]))/);
}

/** What browsers would break at a hyphen or before a sign stays together, wherever a text has room for elements. */
function together(child) {
  if (typeof child !== "string") return [child];
  const parts = pieces(child).map((part, index) => (index % 2 ? h("span", { class: "mlprod-tight" }, document.createTextNode(part)) : part));
  return parts.filter((part) => part !== "");
}

/** Make an element: attributes by name, handlers by onclick, oninput and onchange, children as elements or text. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, TEXT_ONLY.includes(tag) ? children : children.flat().flatMap(together));
}

/** The same for a part of a picture. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (HANDLERS.includes(name)) element[name] = value;
    else if (name === "style") Object.assign(element.style, value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  // A choice can be shown only once its options are there.
  if ("value" in attributes && "value" in element) element.value = attributes.value;
  return element;
}

/** Make an element's children like these, keeping those that are alike: focus, dragging and a reader's place stay. */
export function patch(parent, wanted) {
  wanted.forEach((next, index) => {
    const old = parent.childNodes[index];
    if (!old) parent.append(next);
    else if (!alike(old, next)) old.replaceWith(next);
    else if (next.nodeType !== 1) old.data = old.data === next.data ? old.data : next.data;
    else renew(old, next);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

function alike(old, next) {
  return old.nodeName === next.nodeName && old.dataset?.key === next.dataset?.key;
}

function renew(old, next) {
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of HANDLERS) old[name] = next[name];
  patch(old, [...next.childNodes]);
  if ("checked" in next) old.checked = next.checked;
  if ("value" in next && old.value !== next.value) old.value = next.value;
}

/** A verdict as symbol and word; another word where it is not a verdict that is told. */
export function badge(status, told = "") {
  const [symbol, word] = verdictWord(status);
  return h(
    "span",
    { class: `mlprod-badge mlprod-badge-${status in WORDS ? status : "warn"}` },
    h("span", { "aria-hidden": "true" }, symbol),
    told || word,
  );
}

/** The small square that a variant's parts of pictures are found by. */
export function swatch(index) {
  return h("span", { class: `mlprod-swatch mlprod-variant-${index % 4}`, "aria-hidden": "true" });
}

/** An endpoint's traffic as one bar, a part a variant. */
export function trafficBar(variants) {
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

export function button(label, attributes) {
  return h("button", { type: "button", class: "mlprod-button", ...attributes }, label);
}

/** A button that shows an action's line, to be run, tried or copied. */
export function actionButton(action, ui) {
  const spoken = action.about ? `${action.label} ${action.about}` : undefined;
  return button(action.label, {
    "data-key": action.line,
    title: action.line,
    "aria-label": spoken,
    disabled: ui.busy,
    onclick: () => ui.choose(action),
  });
}

export function actionButtons(actions, ui) {
  return h("span", { class: "mlprod-buttons" }, ...actions.map((action) => actionButton(action, ui)));
}

/** A table with a name; nothing where it has no rows. */
export function listing(title, columns, rows, { head = "mlprod-unseen" } = {}) {
  if (!rows.length) return null;
  return h(
    "section",
    { class: "mlprod-listing" },
    h(
      "table",
      {},
      h("caption", {}, title),
      h("thead", { class: head }, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows),
    ),
  );
}

/** The top of a panel: what it is about, when that was read, and a button that reads it again. */
export function top(title, state, ui, seen, ...more) {
  return h(
    "div",
    { class: "mlprod-row mlprod-top" },
    h("h3", {}, title),
    h("span", { class: "mlprod-space" }),
    ...more,
    h(
      "span",
      { class: "mlprod-seen" },
      h("span", { class: "mlprod-soft" }, `as of ${new Date(seen).toLocaleTimeString()}`),
      button("Refresh", { "data-key": "refresh", title: state.refresh, disabled: ui.busy, onclick: ui.refresh }),
    ),
  );
}

/** The conclusion in a sentence. */
export function verdictLine(verdict) {
  return h("p", { class: "mlprod-verdict" }, badge(verdict.status), h("span", {}, verdict.sentence));
}

/** The line that was chosen, to be run, tried, copied into a cell, or left. */
export function chosenLine(ui) {
  const action = ui.action;
  const attributes = { class: "mlprod-strip", role: "group", "aria-label": "Line to run", hidden: !action };
  if (!action) return h("div", attributes);
  const line = lineOf(action, ui.reason);
  const wanting = action.reason === "needed" && !ui.reason.trim();
  return h(
    "div",
    attributes,
    h("code", {}, line),
    h("span", { class: "mlprod-space" }),
    action.reason ? reasonField(action, ui) : null,
    h(
      "span",
      { class: "mlprod-buttons" },
      action.dry ? button("Dry run", { "data-key": "dry", disabled: ui.busy, onclick: ui.dry }) : null,
      button(ui.busy ? "Running…" : "Run", {
        class: "mlprod-button mlprod-main",
        "data-key": "run",
        disabled: ui.busy || wanting,
        onclick: ui.run,
      }),
      button("Copy", { "data-key": "copy", onclick: ui.copy }),
      button("Cancel", { "data-key": "leave", disabled: ui.busy, onclick: ui.leave }),
    ),
  );
}

function reasonField(action, ui) {
  return h(
    "label",
    { class: "mlprod-field" },
    action.reason === "needed" ? "Reason" : "Reason (optional)",
    h("input", {
      type: "text",
      "data-key": "reason",
      value: ui.reason,
      disabled: ui.busy,
      oninput: (event) => ui.because(event.target.value),
    }),
  );
}

/** How the last line ended; always there, so that a screen reader hears it change. */
export function outcome(message) {
  const shown = message?.text ? message : null;
  const failed = shown?.kind === "error";
  const attributes = { class: `mlprod-message${failed ? " mlprod-error" : ""}`, role: "status", hidden: !shown };
  if (!shown) return h("div", attributes);
  const line = shown.line ? h("code", {}, shown.line) : null;
  return h("div", attributes, line, h("span", {}, failed ? `✗ ${shown.text}` : shown.text));
}

/**
 * A panel of a page. The page is a function of (state, message, ui, seen) that returns elements; ui has what the panel
 * remembers between two drawings (ui.own is the page's), and what its buttons do. `started` runs once for each view, and
 * may return its clean-up.
 */
export function panel(page, { started } = {}) {
  return { render: ({ model, el }) => show(page, started, model, el) };
}

function show(page, started, model, el) {
  // Keys that JupyterLab would take as commands for the cell stay in the panel.
  const root = h("div", { class: "mlprod-panel", "data-lm-suppress-shortcuts": "true" });
  const ui = { action: null, reason: "", busy: false, own: {} };
  let seen = Date.now();
  let sent = "";

  const find = (key) => [...root.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
  const focus = (key) => find(key)?.focus({ preventScroll: true });
  ui.draw = () => {
    const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    patch(root, page(model.get("state"), model.get("message"), ui, seen).filter((part) => part !== null));
    root.setAttribute("aria-busy", String(ui.busy));
    const again = key && !root.contains(document.activeElement) && find(key);
    if (again && !again.disabled) again.focus({ preventScroll: true });
  };
  ui.send = (line) => {
    ui.busy = true;
    sent = line;
    model.send({ line });
    ui.draw();
  };
  ui.choose = (action) => {
    ui.action = action;
    ui.reason = "";
    ui.draw();
    focus(action.reason === "needed" ? "reason" : "run");
  };
  ui.because = (reason) => {
    ui.reason = reason;
    ui.draw();
  };
  ui.run = () => ui.send(lineOf(ui.action, ui.reason));
  ui.dry = () => ui.send(lineOf(ui.action, ui.reason, true));
  ui.refresh = () => ui.send(model.get("state").refresh);
  ui.leave = () => {
    const key = ui.action?.line;
    ui.action = null;
    ui.draw();
    focus(key);
  };
  ui.copy = () => navigator.clipboard?.writeText(lineOf(ui.action, ui.reason));

  const onState = () => {
    seen = Date.now();
    ui.draw();
  };
  const onMessage = () => {
    const { line } = model.get("message");
    // A panel may ask for more than what its buttons send, and the answer to that frees no button.
    if (!ui.busy || line !== (sent === model.get("state").refresh ? "" : sent)) return ui.draw();
    const key = ui.action?.line ?? "refresh";
    const tried = ui.action !== null && sent === lineOf(ui.action, ui.reason, true);
    const inside = root.contains(document.activeElement) || document.activeElement === document.body;
    ui.busy = false;
    if (!tried) ui.action = null;
    ui.draw();
    if (inside) focus(tried ? "dry" : key);
    return undefined;
  };
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && ui.action && !ui.busy) ui.leave();
  });
  model.on("change:state", onState);
  model.on("change:message", onMessage);
  const ended = started?.({ model, ui, root });
  ui.draw();
  el.append(root);
  return () => {
    ended?.();
    model.off("change:state", onState);
    model.off("change:message", onMessage);
    root.remove();
  };
}
