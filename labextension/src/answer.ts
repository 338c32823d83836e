/** What the server says of a path's workspace: its state, or why there is none. */
export interface Answer {
  state?: State;
  /** No workspace is there. */
  missing?: string;
  /** Reading it would reach beyond its directory, so the user is asked first. */
  asks?: string;
  /** It could not be read. */
  problem?: string;
  /** Where the workspace lies below the server's directory; null where it does not. */
  inside?: string | null;
  /** The page that leads to its reports, relative to the workspace. */
  page?: string;
}

export interface State {
  workspace: string;
  refresh: string;
  alerts: { state: string; sentence: string; endpoint: string; alert: number }[];
}

/** What the side bar's tab shows: how many alerts wait, as text, and what it says of them; empty where none does. */
export function badge(answer: Answer | null): { count: string; caption: string } {
  const open = (answer?.state?.alerts ?? []).filter((alert) => alert.state === "open");
  if (!answer?.state || open.length === 0) return { count: "", caption: "mlprod" };
  const alerts = open.length === 1 ? "1 open alert" : `${open.length} open alerts`;
  return { count: open.length > 9 ? "9+" : String(open.length), caption: `mlprod: ${alerts} in ${answer.state.workspace}` };
}

/** What is said where there is no status, with the line that may help and the word on the button that asks. */
export function note(answer: Answer | null): { text: string; line: string; button: string } | null {
  if (answer === null) return { text: "Reading the workspace…", line: "", button: "" };
  if (answer.state) return null;
  if (answer.missing) return { text: answer.missing, line: "%mlprod init", button: "" };
  if (answer.asks) return { text: `This workspace reaches beyond its directory: ${answer.asks}.`, line: "", button: "Show its status" };
  return { text: `✗ ${answer.problem ?? "The server gave no answer."}`, line: "", button: "Try again" };
}

/** The path of the page that leads to the reports, below the server's directory; empty where it cannot be opened there. */
export function reportsPath(answer: Answer | null): string {
  if (!answer?.page || answer.inside === null || answer.inside === undefined) return "";
  return answer.inside ? `${answer.inside}/${answer.page}` : answer.page;
}

/** Why the page that leads to the reports cannot be opened. */
export function withoutReports(answer: Answer | null): string {
  if (!answer?.state) return note(answer)?.text ?? "";
  if (!answer.page) return "No report was made yet. Make one in a cell: %mlprod report ENDPOINT drift";
  return "The workspace lies outside the server's directory, so JupyterLab cannot open its pages.";
}
