// Compiles the extension and lays it out as JupyterLab finds it: build/labextensions/mlprod-nb. There is no bundler: the
// compiled modules are the sources line by line, beside the widgets' own modules. `sources.json` tells of what it was built.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const top = dirname(here);
const ASIDE = ["node_modules", "build", "tests"];
const WIDGETS = ["base.js", "base.css", "status.js", "status.css"];

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (folder === here && ASIDE.includes(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

function sha256(...texts) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text);
  return hash.digest("hex");
}

const read = [...files(here), ...WIDGETS.map((name) => join(top, "widgets", name)), join(top, "mlprod_nb", "__init__.py")];
const sources = Object.fromEntries(
  read.map((path) => [relative(top, path).split(sep).join("/"), sha256(readFileSync(path))]).sort(([a], [b]) => (a < b ? -1 : 1)),
);

const compiled = join(here, "build", "compiled");
const built = join(here, "build", "labextensions", "mlprod-nb");
rmSync(join(here, "build"), { recursive: true, force: true });
execFileSync(process.execPath, [join(here, "node_modules", "typescript", "bin", "tsc"), "-p", here], { stdio: "inherit" });

// A name of its own for each build, so that no browser keeps modules of two.
const place = join("static", sha256(JSON.stringify(sources)).slice(0, 16));
mkdirSync(join(built, place), { recursive: true });
cpSync(compiled, join(built, place), { recursive: true });
for (const name of WIDGETS) cpSync(join(top, "widgets", name), join(built, place, name));
cpSync(join(here, "style"), join(built, place), { recursive: true });

const { name, description, license, jupyterlab } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const [, version] = readFileSync(join(top, "mlprod_nb", "__init__.py"), "utf8").match(/^__version__ = "(.+)"$/m);
const load = `${place}/remote.js`.split(sep).join("/");
const manifest = { name, version, description, license, jupyterlab: { ...jupyterlab, _build: { load, extension: "./extension" } } };
const install = {
  packageManager: "python",
  packageName: "mlprod_nb",
  uninstallInstructions: "pip uninstall mlprod_nb",
};
for (const [file, content] of Object.entries({ "package.json": manifest, "install.json": install, "sources.json": sources })) {
  writeFileSync(join(built, file), `${JSON.stringify(content, null, 2)}\n`);
}
