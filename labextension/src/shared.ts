/** The modules that JupyterLab shares with extensions, by name and version, as module federation keeps them. */
export type Scope = Record<string, Record<string, Shared> | undefined>;

export interface Shared {
  get(): Promise<() => unknown>;
  loaded?: boolean | number;
}

/** Which version of a shared module counts: the one that is in use, or the newest, as module federation chooses. */
export function chosen(versions: Record<string, Shared>): string | undefined {
  const names = Object.keys(versions).sort((a, b) => newer(b, a));
  return names.find((name) => versions[name]?.loaded) ?? names[0];
}

/** Above 0 where the first version is newer. */
export function newer(first: string, second: string): number {
  const [a, b] = [numbers(first), numbers(second)];
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  // A pre-release comes before its release.
  return Number(second.includes("-")) - Number(first.includes("-"));
}

function numbers(version: string): number[] {
  return version.split(/[-+]/)[0]!.split(".").map(Number);
}

/** Return a shared module, or undefined where the application has none of that name. */
export async function shared(scope: Scope, name: string): Promise<unknown> {
  const versions = scope[name] ?? {};
  const version = chosen(versions);
  if (version === undefined) return undefined;
  return (await versions[version]!.get())();
}
