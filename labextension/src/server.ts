import type { StatusAnswer } from "./answer.js";
import type { Jupyter } from "./jupyter.js";
import type { ReportsAnswer } from "./reports.js";

/** Ask the Jupyter server for the status of a path's workspace. */
export async function status(jupyter: Jupyter, path: string, asked: boolean): Promise<StatusAnswer> {
  return (await request(jupyter, "status", { path, ...(asked ? { asked: "1" } : {}) })) as StatusAnswer;
}

/** Ask the Jupyter server for the reports of a path's workspace. */
export async function reports(jupyter: Jupyter, path: string, asked: boolean): Promise<ReportsAnswer> {
  return (await request(jupyter, "reports", { path, ...(asked ? { asked: "1" } : {}) })) as ReportsAnswer;
}

/** The address of a report's page, which the server gives in a sandbox. */
export function pageUrl({ coreutils, services }: Jupyter, key: string, page: string, theme: "light" | "dark"): string {
  const { baseUrl } = services.ServerConnection.makeSettings();
  return `${coreutils.URLExt.join(baseUrl, "mlprod", "reports", key, page)}?theme=${theme}`;
}

/** Have the server make a notebook from a template, in a folder or beside a path; returns its path. */
export async function makeNotebook(jupyter: Jupyter, template: string, where: { folder: string } | { path: string }): Promise<string> {
  const body = JSON.stringify({ template, ...where });
  const made = (await request(jupyter, "notebooks", {}, { method: "POST", body })) as { path: string };
  return made.path;
}

async function request(
  { coreutils, services }: Jupyter,
  name: string,
  query: Record<string, string>,
  init: RequestInit = {},
): Promise<unknown> {
  const settings = services.ServerConnection.makeSettings();
  const url = coreutils.URLExt.join(settings.baseUrl, "mlprod", name) + coreutils.URLExt.objectToQueryString(query);
  const response = await services.ServerConnection.makeRequest(url, { cache: "no-store", ...init }, settings);
  const said: unknown = await response.json().catch(() => ({}));
  if (response.ok) return said;
  if (response.status === 404) throw new Error(missing(said));
  throw new Error((said as { message?: string }).message || `The server answered ${response.status}.`);
}

function missing(said: unknown): string {
  const message = (said as { message?: string }).message;
  return message && message !== "Not Found" ? message : "The Jupyter server has no mlprod_nb: install it there, and start it again.";
}
