import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";

import { element } from "./element.js";
import type { Jupyter } from "./jupyter.js";
import { verdictWord } from "./status.js";

export const MIME = "application/vnd.mlprod.verdict+json";

export interface Verdict {
  status: string;
  sentence: string;
  action: string;
  causes: { name: string; grade: string }[];
}

/** Read a verdict out of a notebook, which may hold anything; null where it is none. */
export function readVerdict(data: unknown): Verdict | null {
  if (typeof data !== "object" || data === null) return null;
  const { status, sentence, action, causes } = data as Record<string, unknown>;
  if (typeof status !== "string" || typeof sentence !== "string") return null;
  const known = Array.isArray(causes) ? causes.filter(isCause) : [];
  return { status, sentence, action: typeof action === "string" ? action : "", causes: known };
}

function isCause(cause: unknown): cause is { name: string; grade: string } {
  const { name, grade } = (cause ?? {}) as Record<string, unknown>;
  return typeof name === "string" && typeof grade === "string";
}

function mark(status: string): HTMLElement {
  const [symbol, word] = verdictWord(status);
  const grade = ["ok", "warn", "alarm"].includes(status) ? status : "warn";
  return element(
    "span",
    { class: `mlprod-badge mlprod-badge-${grade}` },
    element("span", { "aria-hidden": "true" }, symbol),
    word,
  );
}

function shown(verdict: Verdict): HTMLElement[] {
  const parts = [element("p", { class: "mlprod-verdict" }, mark(verdict.status), element("span", {}, verdict.sentence))];
  if (verdict.action) parts.push(element("p", { class: "mlprod-soft" }, "Next: ", element("code", {}, verdict.action)));
  if (verdict.causes.length) {
    const rows = verdict.causes.map((cause) => element("li", {}, mark(cause.grade), " ", cause.name));
    parts.push(element("details", {}, element("summary", {}, "What was judged"), element("ul", {}, ...rows)));
  }
  return parts;
}

/** Shows verdicts in notebooks and reports; everything in them as text. */
export function verdictFactory({ widgets }: Jupyter): IRenderMime.IRendererFactory {
  class Renderer extends widgets.Widget implements IRenderMime.IRenderer {
    async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
      const data = model.data[MIME];
      const verdict = readVerdict(data);
      this.addClass("mlprod-panel");
      this.addClass("mlprod-verdict-output");
      const parts = verdict ? shown(verdict) : [element("p", {}, "This is not a verdict: ", element("code", {}, JSON.stringify(data)))];
      this.node.replaceChildren(...parts);
    }
  }
  return { safe: true, mimeTypes: [MIME], defaultRank: 10, createRenderer: () => new Renderer() };
}
