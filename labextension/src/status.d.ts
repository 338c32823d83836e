// The status panel, in `widgets/`: the build puts it beside the compiled modules.
interface Model {
  get(name: string): unknown;
  on(event: string, handler: () => void): void;
  off(event: string, handler: () => void): void;
  send(content: { line: string }): void;
}

declare const panel: { render(place: { model: Model; el: HTMLElement }): () => void };
export default panel;
