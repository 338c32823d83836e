import type { Answer } from "./answer.js";

/** What the server says of a workspace's reports. */
export interface ReportsAnswer extends Answer {
  reports?: { title: string; entries: Report[]; left_out: number };
  /** What stands for the workspace in the addresses of its reports' pages. */
  key?: string;
}

export interface Report {
  endpoint: string;
  kind: string;
  /** ok, warn or alarm; failed where it came to no verdict. */
  status: string;
  sentence: string;
  /** Where its page lies in the folder of reports, as an address; empty where it was removed. */
  page: string;
  digest: string;
  approvals: number;
  created_at: string;
}

const WORDS: Record<string, string> = { ok: "OK", warn: "Warning", alarm: "Alarm", failed: "Failed" };

/** A verdict as a word. */
export function word(status: string): string {
  return Object.hasOwn(WORDS, status) ? WORDS[status]! : status;
}

/** What a report is called. */
export function named(report: Report): string {
  return `${report.kind} of ${report.endpoint}`;
}

/** How many approved it, in words. */
export function approvals({ approvals: count }: Report): string {
  return count === 0 ? "not approved" : count === 1 ? "1 approval" : `${count} approvals`;
}

/** The reports that contain every word of a text, whatever the case. */
export function matching(reports: Report[], text: string): Report[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return reports.filter((report) => {
    const { endpoint, kind, status, sentence, digest, created_at } = report;
    const all = [endpoint, kind, word(status), sentence, digest, created_at, approvals(report)].join("\n").toLowerCase();
    return words.every((one) => all.includes(one));
  });
}

/** How many there are, and of them how many are shown. */
export function counted(shown: number, all: number): string {
  const reports = all === 1 ? "1 report" : `${all} reports`;
  return shown === all ? reports : `${shown} of ${reports}`;
}

/** The line that approves a report; empty where there is nothing to approve. */
export function approveLine(report: Report): string {
  return report.digest ? `mlprod approve ${report.digest} --reason "…"` : "";
}
