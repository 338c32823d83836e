import type * as applicationModule from "@jupyterlab/application";
import type * as apputilsModule from "@jupyterlab/apputils";
import type * as coreutilsModule from "@jupyterlab/coreutils";
import type * as filebrowserModule from "@jupyterlab/filebrowser";
import type * as launcherModule from "@jupyterlab/launcher";
import type * as notebookModule from "@jupyterlab/notebook";
import type * as rendermimeModule from "@jupyterlab/rendermime";
import type * as servicesModule from "@jupyterlab/services";
import type * as uiModule from "@jupyterlab/ui-components";
import type * as widgetsModule from "@lumino/widgets";

import { shared, type Scope } from "./shared.js";

/** JupyterLab's own modules, the same objects that it uses: its tokens are compared by identity. */
export interface Jupyter {
  application: typeof applicationModule;
  apputils: typeof apputilsModule;
  coreutils: typeof coreutilsModule;
  filebrowser: typeof filebrowserModule;
  launcher: typeof launcherModule;
  notebook: typeof notebookModule;
  rendermime: typeof rendermimeModule;
  services: typeof servicesModule;
  ui: typeof uiModule;
  widgets: typeof widgetsModule;
}

const NAMES: Record<keyof Jupyter, string> = {
  application: "@jupyterlab/application",
  apputils: "@jupyterlab/apputils",
  coreutils: "@jupyterlab/coreutils",
  filebrowser: "@jupyterlab/filebrowser",
  launcher: "@jupyterlab/launcher",
  notebook: "@jupyterlab/notebook",
  rendermime: "@jupyterlab/rendermime",
  services: "@jupyterlab/services",
  ui: "@jupyterlab/ui-components",
  widgets: "@lumino/widgets",
};

/** Take what is needed out of what JupyterLab shares. */
export async function jupyter(scope: Scope): Promise<Jupyter> {
  const entries = await Promise.all(
    Object.entries(NAMES).map(async ([key, name]) => {
      const found = await shared(scope, name);
      if (found === undefined) throw new Error(`mlprod-nb needs ${name}, which this application does not share`);
      return [key, found] as const;
    }),
  );
  return Object.fromEntries(entries) as unknown as Jupyter;
}
