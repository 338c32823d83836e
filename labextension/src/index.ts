import type { JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";

import { Follower } from "./follower.js";
import { jupyter, type Jupyter } from "./jupyter.js";
import { notebooksPlugin } from "./notebooks.js";
import { reportsPlugin } from "./reportsPlugin.js";
import { status } from "./server.js";
import type { Scope } from "./shared.js";
import { statusPlugin } from "./statusPlugin.js";
import { verdictFactory } from "./verdict.js";

/** Return the extension's plugins, made of the modules that JupyterLab shares. */
export async function load(scope: Scope): Promise<JupyterFrontEndPlugin<void>[]> {
  for (const name of ["base.css", "status.css", "side.css"]) addStyle(new URL(name, import.meta.url).href);
  const found = await jupyter(scope);
  const follower = new Follower((path, asked) => status(found, path, asked));
  return [statusPlugin(found, follower), reportsPlugin(found, follower), notebooksPlugin(found, follower), verdictPlugin(found)];
}

function verdictPlugin(found: Jupyter): JupyterFrontEndPlugin<void> {
  return {
    id: "mlprod-nb:verdict",
    description: "Shows verdicts in outputs.",
    autoStart: true,
    requires: [found.rendermime.IRenderMimeRegistry],
    activate: (_, registry: IRenderMimeRegistry) => registry.addFactory(verdictFactory(found)),
  };
}

function addStyle(href: string): void {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  document.head.append(link);
}
