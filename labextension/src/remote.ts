// What JupyterLab loads first, as a script: the container by which it asks for the extension. It hands over the modules
// that JupyterLab shares; the rest of the extension are the modules beside this file, as the compiler wrote them.
(() => {
  const here = (document.currentScript as HTMLScriptElement).src;
  let scope: unknown;
  const container = {
    init(shared: unknown): void {
      scope = shared;
    },
    async get(module: string): Promise<() => unknown> {
      if (module !== "./extension") throw new Error(`mlprod-nb has no module ${module}`);
      const { load } = await import(new URL("./index.js", here).href);
      const plugins: unknown = await load(scope);
      return () => ({ __esModule: true, default: plugins });
    },
  };
  const known = window as unknown as { _JUPYTERLAB?: Record<string, unknown> };
  (known._JUPYTERLAB ??= {})["mlprod-nb"] = container;
})();
