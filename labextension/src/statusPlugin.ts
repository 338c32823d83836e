import type { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { ICommandPalette } from "@jupyterlab/apputils";
import type { IDefaultFileBrowser } from "@jupyterlab/filebrowser";
import type { INotebookTracker } from "@jupyterlab/notebook";
import type { Widget } from "@lumino/widgets";

import { cellFor, followed, mayChange } from "./follow.js";
import type { Follower } from "./follower.js";
import type { Jupyter } from "./jupyter.js";
import { CATEGORY } from "./notebooks.js";
import { side, type Run } from "./side.js";

const SHOW = "mlprod:show-status";
const REFRESH = "mlprod:refresh-status";

/** The side bar, which follows the workspace of the open notebook. */
export function statusPlugin(jupyter: Jupyter, follower: Follower): JupyterFrontEndPlugin<void> {
  return {
    id: "mlprod-nb:status",
    description: "Shows the status of the open notebook's workspace in the side bar.",
    autoStart: true,
    requires: [jupyter.notebook.INotebookTracker],
    optional: [
      jupyter.apputils.ICommandPalette,
      jupyter.application.ILayoutRestorer,
      jupyter.filebrowser.IDefaultFileBrowser,
    ],
    activate: (
      app,
      notebooks: INotebookTracker,
      palette: ICommandPalette | null,
      restorer: ILayoutRestorer | null,
      browser: IDefaultFileBrowser | null,
    ) => {
      const widget = side(jupyter, follower, runner(jupyter, app, notebooks, follower));
      follower.seen = () => widget.isVisible;
      app.shell.add(widget, "left", { rank: 250 });
      restorer?.add(widget, widget.id);
      addCommands(app, widget, follower);
      for (const command of [SHOW, REFRESH]) palette?.addItem({ command, category: CATEGORY });
      void app.restored.then(() => keepFollowing(jupyter, app, follower, browser));
    },
  };
}

function keepFollowing(jupyter: Jupyter, app: JupyterFrontEnd, follower: Follower, browser: IDefaultFileBrowser | null): void {
  let last: string | null = null;
  const look = (): void => {
    const open = pathOf(app, app.shell.currentWidget);
    follower.follow(followed(open, last, browser?.model.path ?? ""));
    last = open ?? last;
  };
  app.shell.currentChanged?.connect(look);
  browser?.model.pathChanged.connect(look);
  jupyter.notebook.NotebookActions.executed.connect((_, { cell }) => {
    if (mayChange(cell.model.sharedModel.getSource())) void follower.refresh();
  });
  look();
}

/** The path of the document that a widget shows, as the server's contents know it; null where it shows none. */
function pathOf(app: JupyterFrontEnd, widget: Widget | null): string | null {
  const path = (widget as { context?: { path?: unknown } } | null)?.context?.path;
  return typeof path === "string" ? app.serviceManager.contents.localPath(path) : null;
}

/** Run lines as cells of the open notebook, below the cell that is chosen there: so each stays to be seen. */
function runner(jupyter: Jupyter, app: JupyterFrontEnd, notebooks: INotebookTracker, follower: Follower): Run {
  return async (line) => {
    const open = notebooks.currentWidget;
    // Another workspace's notebook may be the last that was used.
    if (!open || pathOf(app, open) !== follower.path) {
      throw new Error("Open a notebook of this workspace, and the line runs there; or copy it.");
    }
    const { content, context, sessionContext } = open;
    const { NotebookActions } = jupyter.notebook;
    const source = cellFor(line, content.widgets.map((cell) => cell.model.sharedModel.getSource()));
    NotebookActions.insertBelow(content);
    content.activeCell?.model.sharedModel.setSource(source);
    const done = await NotebookActions.run(content, sessionContext);
    const name = context.path.split("/").pop() ?? "";
    if (!done) throw new Error(`The cell in ${name} failed.`);
    return `Done in a cell of ${name}.`;
  };
}

function addCommands(app: JupyterFrontEnd, widget: Widget, follower: Follower): void {
  app.commands.addCommand(SHOW, {
    label: "Show Status",
    caption: "Show the status of the open notebook's workspace",
    execute: () => app.shell.activateById(widget.id),
  });
  app.commands.addCommand(REFRESH, {
    label: "Refresh Status",
    caption: "Read the status of the open notebook's workspace again",
    execute: () => follower.refresh(),
  });
}
