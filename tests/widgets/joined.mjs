// Loads a panel's module as anywidget does: from its bytes, with what it imports put before it.
import { readFileSync } from "node:fs";

const IMPORT = /^import \{[^}]*\} from "\.\/(\w+)\.js";\n/gm;

function gather(name, parts) {
  const text = readFileSync(new URL(`../../widgets/${name}.js`, import.meta.url), "utf8");
  for (const [, imported] of text.matchAll(IMPORT)) if (!parts.has(imported)) gather(imported, parts);
  parts.set(name, text);
}

export function source(name) {
  const parts = new Map();
  gather(name, parts);
  return [...parts.values()].map((text) => text.replaceAll(IMPORT, "")).join("\n");
}

export async function load(name) {
  return import(`data:text/javascript;base64,${Buffer.from(source(name)).toString("base64")}`);
}
