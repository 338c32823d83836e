// What all panels are made of, in `widgets/`: the build puts it beside the compiled modules.
type Attributes = Record<string, string | boolean | ((event: Event) => void) | undefined>;

/** Make an element: attributes by name, handlers by onclick, children as elements or text. */
export function h(tag: string, attributes?: Attributes, ...children: (Node | string | null | Node[])[]): HTMLElement;

/** A verdict as symbol and word. */
export function badge(status: string): HTMLElement;

/** A verdict and its sentence. */
export function verdictLine(verdict: { status: string; sentence: string }): HTMLElement;
