import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";

import { badge, h, verdictLine } from "./base.js";
import type { Jupyter } from "./jupyter.js";

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

function shown(verdict: Verdict): HTMLElement[] {
  const parts = [verdictLine(verdict)];
  if (verdict.action) parts.push(h("p", { class: "mlprod-soft" }, "Next: ", h("code", {}, verdict.action)));
  if (verdict.causes.length) {
    const rows = verdict.causes.map((cause) => h("li", {}, badge(cause.grade), " ", cause.name));
    parts.push(h("details", {}, h("summary", {}, "What was judged"), h("ul", {}, ...rows)));
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
      const parts = verdict ? shown(verdict) : [h("p", {}, "This is not a verdict: ", h("code", {}, JSON.stringify(data)))];
      this.node.replaceChildren(...parts);
    }
  }
  return { safe: true, mimeTypes: [MIME], defaultRank: 10, createRenderer: () => new Renderer() };
}
