import type { IFrame, MainAreaWidget } from "@jupyterlab/apputils";
import type { Widget } from "@lumino/widgets";

import { note } from "./answer.js";
import { ago, badge, h, moment, patch } from "./base.js";
import { icon } from "./icons.js";
import type { Jupyter } from "./jupyter.js";
import { noteParts } from "./notes.js";
import { approvals, approveLine, counted, matching, named, word, type Report, type ReportsAnswer } from "./reports.js";
import { pageUrl } from "./server.js";

/** What the list of reports needs: the answers, and what a click on a report does. */
export interface Reading {
  ask(asked: boolean): Promise<ReportsAnswer>;
  open(key: string, report: Report): void;
}

export interface ReportsList extends Widget {
  /** Ask again, and show what is there now. */
  refresh(): Promise<void>;
}

/** The list of a workspace's reports. */
export function reportsList(jupyter: Jupyter, reading: Reading, first: ReportsAnswer): ReportsList {
  let [answer, asked, text] = [first, false, ""];
  const body = h("div");
  const found = h("span", { class: "mlprod-soft", role: "status" });
  const find = h("input", { type: "text", "aria-label": "Show only what contains", placeholder: "Find", oninput: search });
  const head = h("h3");
  const again = h("button", { type: "button", class: "mlprod-button", onclick: () => void refresh() }, "Refresh");
  const top = h("div", { class: "mlprod-row" }, head, h("span", { class: "mlprod-space" }), found, h("label", { class: "mlprod-field" }, find), again);

  const widget = new (class extends jupyter.widgets.Widget {
    refresh = refresh;
    protected override onAfterShow(): void {
      void refresh();
    }
    protected override onActivateRequest(): void {
      find.focus();
    }
  })();
  widget.addClass("mlprod-reports");
  widget.title.icon = icon(jupyter, "reports");
  // Keys that JupyterLab would take as commands stay here.
  const panel = h("div", { class: "mlprod-panel", "data-lm-suppress-shortcuts": "true" }, top, body);
  widget.node.append(panel);
  draw();
  return widget;

  function search(): void {
    text = (find as HTMLInputElement).value;
    draw();
  }
  async function refresh(): Promise<void> {
    answer = await reading.ask(asked);
    if (!widget.isDisposed) draw();
  }
  function insist(): void {
    asked = true;
    void refresh();
  }
  function draw(): void {
    const said = note(answer, answer.reports !== undefined, "its reports");
    const { title, entries, left_out } = answer.reports ?? { title: "", entries: [], left_out: 0 };
    const shown = matching(entries, text);
    head.textContent = said ? "Reports" : `Reports of ${title}`;
    widget.title.label = head.textContent;
    found.textContent = said ? "" : counted(shown.length, entries.length);
    find.hidden = said !== null;
    const open = (report: Report): void => reading.open(answer.key ?? "", report);
    patch(body, said ? noteParts(said, insist) : listed(shown, entries.length, left_out, open));
  }
}

function listed(shown: Report[], all: number, leftOut: number, open: (report: Report) => void): HTMLElement[] {
  if (all === 0) return [h("p", { class: "mlprod-lead" }, "No report was made yet. Make one in a cell: ", h("code", {}, "%mlprod report ENDPOINT drift"))];
  const columns = ["Verdict", "Report", "What it says", "Approvals", "Digest", "Made (UTC)"];
  const heads = columns.map((name) => h("th", { scope: "col" }, name));
  const now = Date.now();
  const parts = [
    h("table", {}, h("caption", { class: "mlprod-unseen" }, "Reports, the newest first"), h("thead", {}, h("tr", {}, ...heads)),
      h("tbody", {}, ...shown.map((report) => row(report, now, open)))),
  ];
  if (shown.length === 0) parts.push(h("p", { class: "mlprod-lead" }, "No report contains that."));
  if (leftOut) parts.push(h("p", { class: "mlprod-soft" }, `${leftOut} older ${leftOut === 1 ? "report is" : "reports are"} not listed.`));
  const approve = h("code", {}, 'mlprod approve DIGEST --reason "…"');
  parts.push(h("p", { class: "mlprod-lead mlprod-soft" }, "Reports are for reading here. Approve one by ", approve, " in a shell or a cell, or where the gateway shows it, at /reports/."));
  return parts;
}

function row(report: Report, now: number, open: (report: Report) => void): HTMLElement {
  const attributes = { type: "button", class: "mlprod-open", onclick: () => open(report), "aria-label": `Open ${named(report)}: ${report.sentence}` };
  const said = report.page ? h("button", attributes, report.sentence) : `${report.sentence} (its page was removed)`;
  return h(
    "tr",
    { "data-key": report.page || report.digest },
    h("td", { class: "mlprod-tight" }, badge(report.status, word(report.status))),
    h("th", { scope: "row" }, `${report.endpoint} ${report.kind}`),
    h("td", { class: "mlprod-wide" }, said),
    h("td", { class: "mlprod-soft mlprod-tight" }, report.digest ? approvals(report) : ""),
    h("td", { class: "mlprod-tight mlprod-digest" }, report.digest ? h("code", {}, report.digest) : ""),
    h("td", { class: "mlprod-soft mlprod-tight", title: ago(report.created_at, now) }, moment(report.created_at)),
  );
}

/** One report: its page in a frame without scripts, of an origin of its own, below what is said of it. */
export class ReportTab {
  readonly widget: MainAreaWidget;
  private readonly frame: IFrame;

  constructor(
    private readonly jupyter: Jupyter,
    private readonly key: string,
    private readonly report: Report,
  ) {
    const { apputils, widgets } = jupyter;
    this.frame = new apputils.IFrame({ sandbox: [] });
    this.frame.node.querySelector("iframe")?.setAttribute("title", `The report: ${named(report)}`);
    const bar = new widgets.Widget();
    bar.node.append(h("div", { class: "mlprod-panel" }, ...approving(report)));
    const content = new widgets.Panel();
    content.addClass("mlprod-report");
    content.addWidget(bar);
    content.addWidget(this.frame);
    this.widget = bare(jupyter, content);
    this.widget.title.label = named(report);
    this.widget.title.caption = report.sentence;
    this.widget.title.icon = icon(jupyter, "report");
  }

  /** Show the page in a theme; the page itself cannot know it. */
  show(theme: "light" | "dark"): void {
    this.frame.url = pageUrl(this.jupyter, this.key, this.report.page, theme);
  }
}

/** A tab without a toolbar. */
export function bare({ apputils }: Jupyter, content: Widget): MainAreaWidget {
  const tab = new apputils.MainAreaWidget({ content });
  tab.toolbar.hide();
  return tab;
}

function approving(report: Report): HTMLElement[] {
  const line = approveLine(report);
  if (!line) return [h("span", { class: "mlprod-soft" }, "Nothing was concluded, so there is nothing to approve.")];
  const copy = (): void => void navigator.clipboard?.writeText(line);
  return [
    h("span", { class: "mlprod-soft" }, `For reading; ${approvals(report)}. Approve it by`),
    h("code", {}, line),
    h("button", { type: "button", class: "mlprod-button", onclick: copy }, "Copy"),
  ];
}
