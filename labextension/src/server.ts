import type { Answer } from "./answer.js";
import type { Jupyter } from "./jupyter.js";

/** Ask the Jupyter server for the status of a path's workspace. */
export async function status(jupyter: Jupyter, path: string, asked: boolean): Promise<Answer> {
  return (await request(jupyter, "status", { path, ...(asked ? { asked: "1" } : {}) })) as Answer;
}

/** Have the server make a notebook from a template; returns its path. */
export async function makeNotebook(jupyter: Jupyter, template: string, folder: string): Promise<string> {
  const body = JSON.stringify({ template, folder });
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
