import type { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { ICommandPalette, IThemeManager, MainAreaWidget, WidgetTracker } from "@jupyterlab/apputils";
import type { ILauncher } from "@jupyterlab/launcher";

import type { Follower } from "./follower.js";
import { icon } from "./icons.js";
import type { Jupyter } from "./jupyter.js";
import { CATEGORY } from "./notebooks.js";
import type { Report, ReportsAnswer } from "./reports.js";
import { bare, reportsList, ReportTab, type ReportsList } from "./reportsView.js";
import { reports } from "./server.js";

const LIST = "mlprod:open-reports";
const REPORT = "mlprod:open-report";

/** Tabs of one kind, and what the command that opens each was given: so they come back when the page is loaded again. */
interface Tabs {
  tracker: WidgetTracker<MainAreaWidget>;
  given: Map<string, object>;
}

/** A tab with the workspace's reports, and one for each report that is opened from it. */
export function reportsPlugin(jupyter: Jupyter, follower: Follower): JupyterFrontEndPlugin<void> {
  const { apputils, application, launcher } = jupyter;
  return {
    id: "mlprod-nb:reports",
    description: "Shows the reports of the open notebook's workspace.",
    autoStart: true,
    optional: [apputils.ICommandPalette, launcher.ILauncher, application.ILayoutRestorer, apputils.IThemeManager],
    activate: (
      app,
      palette: ICommandPalette | null,
      launcher: ILauncher | null,
      restorer: ILayoutRestorer | null,
      themes: IThemeManager | null,
    ) => {
      addListCommand(jupyter, app, follower, restored(jupyter, restorer, "mlprod-reports", LIST));
      addReportCommand(jupyter, app, themes, restored(jupyter, restorer, "mlprod-report", REPORT));
      palette?.addItem({ command: LIST, args: { isPalette: true }, category: CATEGORY });
      launcher?.add({ command: LIST, category: CATEGORY, rank: 9 });
    },
  };
}

function restored({ apputils }: Jupyter, restorer: ILayoutRestorer | null, namespace: string, command: string): Tabs {
  const tabs: Tabs = { tracker: new apputils.WidgetTracker({ namespace }), given: new Map() };
  void restorer?.restore(tabs.tracker, {
    command,
    args: ({ id }) => (tabs.given.get(id) ?? {}) as Record<string, never>,
    name: ({ id }) => id,
  });
  return tabs;
}

/** Show the tab of an id, made where it is not open. */
async function show(app: JupyterFrontEnd, tabs: Tabs, id: string, given: object, make: () => MainAreaWidget): Promise<MainAreaWidget> {
  let tab = tabs.tracker.find((widget) => widget.id === id);
  if (!tab) {
    tab = make();
    tab.id = id;
    tabs.given.set(id, given);
    app.shell.add(tab, "main");
    await tabs.tracker.add(tab);
  }
  app.shell.activateById(id);
  return tab;
}

function addListCommand(jupyter: Jupyter, app: JupyterFrontEnd, follower: Follower, tabs: Tabs): void {
  follower.listen(() =>
    tabs.tracker.forEach(({ content, isVisible }) => {
      if (isVisible) void (content as ReportsList).refresh();
    }),
  );
  app.commands.addCommand(LIST, {
    label: (args) => (args["isPalette"] ? "Open Reports" : "All Reports"),
    caption: "Open the list of the workspace's reports",
    icon: (args) => (args["isPalette"] ? undefined : icon(jupyter, "reports")),
    execute: async (args) => {
      const path = typeof args["path"] === "string" ? args["path"] : follower.path;
      const ask = (asked: boolean): Promise<ReportsAnswer> =>
        reports(jupyter, path, asked).catch((error: unknown) => ({ problem: error instanceof Error ? error.message : String(error) }));
      const open = (key: string, report: Report): void => void app.commands.execute(REPORT, { key, report: { ...report } });
      const first = await ask(false);
      // One tab for a workspace, whichever of its notebooks it was opened from.
      return show(app, tabs, `mlprod-reports-${first.key ?? path}`, { path }, () => {
        return bare(jupyter, reportsList(jupyter, { ask, open }, first));
      });
    },
  });
}

function addReportCommand(jupyter: Jupyter, app: JupyterFrontEnd, themes: IThemeManager | null, tabs: Tabs): void {
  app.commands.addCommand(REPORT, {
    label: "Open Report",
    execute: async (args) => {
      const { key, report } = args as unknown as { key: string; report: Report };
      return show(app, tabs, `mlprod-report-${key}-${report.page}`, { key, report }, () => {
        const tab = new ReportTab(jupyter, key, report);
        const look = (): void => tab.show(document.body.dataset["jpThemeLight"] === "false" ? "dark" : "light");
        look();
        themes?.themeChanged.connect(look);
        tab.widget.disposed.connect(() => void themes?.themeChanged.disconnect(look));
        return tab.widget;
      });
    },
  });
}
