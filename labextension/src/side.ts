import type { Widget } from "@lumino/widgets";

import { note } from "./answer.js";
import { h } from "./base.js";
import type { Follower } from "./follower.js";
import { icon } from "./icons.js";
import type { Jupyter } from "./jupyter.js";
import { noteParts } from "./notes.js";
import panel from "./status.js";

/** Runs a line where the user sees it, and says how that went; throws what the user should read. */
export type Run = (line: string) => Promise<string>;

/** The side bar: the status panel, or a note where there is no status. */
export function side(jupyter: Jupyter, follower: Follower, run: Run): Widget {
  const model = new PanelModel(follower, run);
  const remark = h("div", { class: "mlprod-note", role: "status" });
  const body = h("div", { class: "mlprod-body" });

  const widget = new (class extends jupyter.widgets.Widget {
    protected override onAfterShow(): void {
      void follower.refresh();
    }
    protected override onActivateRequest(): void {
      this.node.focus();
    }
  })();
  widget.id = "mlprod-status";
  widget.addClass("mlprod-side");
  widget.title.icon = icon(jupyter, "status");
  widget.node.tabIndex = -1;
  widget.node.setAttribute("role", "region");
  widget.node.setAttribute("aria-label", "mlprod status");
  widget.node.append(remark, body);

  let drawn = false;
  function draw(): void {
    const { count, caption } = follower.badge;
    widget.title.caption = caption;
    widget.title.dataset = count ? { "mlprod-alerts": count } : {};
    const said = note(follower.answer, follower.answer?.state !== undefined, "its status");
    remark.hidden = said === null;
    remark.replaceChildren(...(said ? noteParts(said, () => void follower.insist()) : []));
    body.hidden = said !== null;
    if (said !== null) return;
    model.show();
    if (!drawn) panel.render({ model, el: body });
    drawn = true;
  }
  follower.listen(draw);
  draw();
  return widget;
}

/** What the panel takes for its kernel: a state to show, and lines to run. */
class PanelModel {
  private state: unknown = {};
  private message: unknown = {};
  private turn = 0;
  private readonly handlers = new Map<string, Set<() => void>>();

  constructor(
    private readonly follower: Follower,
    private readonly run: Run,
  ) {}

  get(name: string): unknown {
    return name === "state" ? this.state : name === "message" ? this.message : undefined;
  }

  on(event: string, handler: () => void): void {
    this.handlers.set(event, (this.handlers.get(event) ?? new Set()).add(handler));
  }

  off(event: string, handler: () => void): void {
    this.handlers.get(event)?.delete(handler);
  }

  send({ line }: { line: string }): void {
    void this.answer(line);
  }

  /** Show what the follower has. */
  show(): void {
    if (!this.follower.answer?.state) return;
    this.state = this.follower.answer.state;
    this.tell("change:state");
  }

  private async answer(line: string): Promise<void> {
    const refreshes = line === this.follower.answer?.state?.refresh;
    let [kind, text] = ["ok", ""];
    try {
      if (!refreshes) text = await this.run(line);
    } catch (error) {
      [kind, text] = ["error", error instanceof Error ? error.message : String(error)];
    }
    await this.follower.refresh();
    this.message = { turn: ++this.turn, kind, line: refreshes ? "" : line, text };
    this.show();
    this.tell("change:message");
  }

  private tell(event: string): void {
    for (const handler of this.handlers.get(event) ?? []) handler();
  }
}
