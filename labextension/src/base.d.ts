// What all panels are made of, in `widgets/`: the build puts it beside the compiled modules.
type Attributes = Record<string, string | boolean | ((event: Event) => void) | undefined>;

/** Make an element: attributes by name, handlers by onclick, children as elements or text. */
export function h(tag: string, attributes?: Attributes, ...children: (Node | string | null | Node[])[]): HTMLElement;

/** Make an element's children like these, keeping those that are alike. */
export function patch(parent: Element, wanted: Node[]): void;

/** A verdict as symbol and word; another word where one is told. */
export function badge(status: string, told?: string): HTMLElement;

/** A verdict and its sentence. */
export function verdictLine(verdict: { status: string; sentence: string }): HTMLElement;

/** How long ago a moment is, from the present in milliseconds. */
export function ago(moment: string, now: number): string;

/** A moment as people read it, in UTC to the minute. */
export function moment(text: string): string;
