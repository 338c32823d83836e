import type { Note } from "./answer.js";
import { h } from "./base.js";

/** A note's elements; insist: what its button does. */
export function noteParts(said: Note, insist: () => void): HTMLElement[] {
  const parts = [h("p", {}, said.text)];
  if (said.line) parts.push(h("p", {}, "Make one in a cell: ", h("code", {}, said.line)));
  if (said.button) parts.push(h("button", { type: "button", class: "mlprod-button", onclick: insist }, said.button));
  return parts;
}
