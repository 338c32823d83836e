import type { JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { ICommandPalette } from "@jupyterlab/apputils";
import type { ILauncher } from "@jupyterlab/launcher";

import type { Follower } from "./follower.js";
import { icon, type IconName } from "./icons.js";
import type { Jupyter } from "./jupyter.js";
import { makeNotebook } from "./server.js";

const CREATE = "mlprod:new-notebook";
export const CATEGORY = "mlprod";

interface Template {
  template: IconName;
  label: string;
  caption: string;
}

export const TEMPLATES: Template[] = [
  { template: "report", label: "Report", caption: "A notebook that looks at an endpoint and ends in a verdict" },
  { template: "train", label: "Training", caption: "A notebook that trains, registers and deploys a model" },
  { template: "retrain", label: "Retraining", caption: "A notebook that trains a new version on labelled predictions" },
  { template: "triage", label: "Triage", caption: "A notebook that asks what is wrong, and what to do about it" },
];

/** The template of a command's arguments, or undefined. */
export function templateOf(name: unknown): Template | undefined {
  return TEMPLATES.find((known) => known.template === name);
}

/** New notebooks from the launcher and the command palette. */
export function notebooksPlugin(jupyter: Jupyter, follower: Follower): JupyterFrontEndPlugin<void> {
  return {
    id: "mlprod-nb:notebooks",
    description: "Makes report, training and retraining notebooks.",
    autoStart: true,
    optional: [jupyter.launcher.ILauncher, jupyter.apputils.ICommandPalette],
    activate: (app, launcher: ILauncher | null, palette: ICommandPalette | null) => {
      app.commands.addCommand(CREATE, {
        label: (args) => {
          const label = templateOf(args["template"])?.label ?? "";
          return args["isPalette"] ? `New ${label} Notebook` : label;
        },
        caption: (args) => templateOf(args["template"])?.caption ?? "",
        icon: (args) => (args["isPalette"] ? undefined : icon(jupyter, templateOf(args["template"])?.template ?? "report")),
        execute: async (args) => {
          try {
            // The launcher says where it is; from the palette it is where the followed document lies.
            const where = typeof args["cwd"] === "string" ? { folder: args["cwd"] } : { path: follower.path };
            const path = await makeNotebook(jupyter, String(args["template"]), where);
            return await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
          } catch (error) {
            return jupyter.apputils.showErrorMessage("The notebook was not made", error as Error);
          }
        },
      });
      TEMPLATES.forEach(({ template }, rank) => {
        launcher?.add({ command: CREATE, args: { template }, category: CATEGORY, rank });
        palette?.addItem({ command: CREATE, args: { template, isPalette: true }, category: CATEGORY });
      });
    },
  };
}
