/** Whose workspace is shown: the open document's; else the last one's; else that of the directory in the file browser. */
export function followed(open: string | null, last: string | null, directory: string): string {
  return open ?? last ?? directory;
}

/** When to ask again, in milliseconds: often where the status is looked at, seldom for the badge alone. */
export function pause(seen: boolean, workspace: boolean): number {
  if (!workspace) return 60_000;
  return seen ? 10_000 : 60_000;
}

/** Whether a cell may have changed what the status shows. */
export function mayChange(source: string): boolean {
  return /^\s*(?:[^\n=]+=\s*)?%{1,2}mlprod\b/m.test(source) || /\bWorkspace\b/.test(source);
}

/** A cell that runs a line: it loads the magic where no cell of the notebook does. */
export function cellFor(line: string, sources: string[]): string {
  const loads = sources.some((source) => /^\s*%(?:re)?load_ext\s+mlprod_nb\b/m.test(source));
  return loads ? line : `%load_ext mlprod_nb\n${line}`;
}
