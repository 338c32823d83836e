type Attributes = Record<string, string | boolean | (() => void) | undefined>;

/** Make an element: attributes by name, handlers by onclick, children as elements or text, never as HTML. */
export function element(tag: string, attributes: Attributes = {}, ...children: (Node | string | null)[]): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child): child is Node | string => child !== null && child !== ""));
  return made;
}
