/** Why there is nothing to show of a path's workspace; empty where there is. */
export interface Answer {
  /** No workspace is there. */
  missing?: string;
  /** Reading it would reach beyond its directory, so the user is asked first. */
  asks?: string;
  /** It could not be read. */
  problem?: string;
}

/** What the server says of a path's workspace: its state, or why there is none. */
export interface StatusAnswer extends Answer {
  state?: State;
}

export interface State {
  workspace: string;
  refresh: string;
  alerts: { state: string; sentence: string; endpoint: string; alert: number }[];
}

/** What the side bar's tab shows: how many alerts wait, as text, and what it says of them; empty where none does. */
export function badge(answer: StatusAnswer | null): { count: string; caption: string } {
  const open = (answer?.state?.alerts ?? []).filter((alert) => alert.state === "open");
  if (!answer?.state || open.length === 0) return { count: "", caption: "mlprod" };
  const alerts = open.length === 1 ? "1 open alert" : `${open.length} open alerts`;
  return { count: open.length > 9 ? "9+" : String(open.length), caption: `mlprod: ${alerts} in ${answer.state.workspace}` };
}

/** What is said where there is nothing to show, with the line that may help and the word on the button that asks. */
export interface Note {
  text: string;
  line: string;
  button: string;
}

/** What is said in the place of what is asked for, as "its status"; null where the answer has it. */
export function note(answer: Answer | null, has: boolean, what: string): Note | null {
  if (has) return null;
  if (answer === null) return { text: "Reading the workspace…", line: "", button: "" };
  if (answer.missing) return { text: answer.missing, line: "%mlprod init", button: "" };
  if (answer.asks) return { text: `This workspace reaches beyond its directory: ${answer.asks}.`, line: "", button: `Show ${what}` };
  return { text: `✗ ${answer.problem ?? "The server gave no answer."}`, line: "", button: "Try again" };
}
