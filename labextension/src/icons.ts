import type { LabIcon } from "@jupyterlab/ui-components";

import type { Jupyter } from "./jupyter.js";

const FRAME = '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24"';
const STROKE = 'fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"';

// A gauge; a sheet with a line of bars; a hill that is climbed; a circle that begins anew; a glass over a line.
const GAUGE = '<path d="M4 18a9 9 0 1 1 16 0"/><path d="M12 14l4-5"/><path d="M9.5 18h5"/>';
const SHEET = '<path d="M6 3h9l4 4v14H6z"/><path d="M10 17v-3M13 17v-6M16 17v-2"/>';
const CLIMB = '<path d="M4 4v16h16"/><path d="M7 16l4-5 3 2 5-7"/>';
const AGAIN = '<path d="M20 12a8 8 0 1 1-2.6-5.9"/><path d="M20 3v5h-5"/>';
const GLASS = '<circle cx="11" cy="11" r="7"/><path d="M16 16l5 5"/><path d="M8 12l2-3 2 3 2-2"/>';
const SHEETS = '<path d="M8 3h9l3 3v12H8z"/><path d="M5 7v14h11"/><path d="M11 9h5M11 13h6"/>';

export type IconName = "status" | "report" | "train" | "retrain" | "triage" | "reports";

const DRAWN: Record<IconName, string> = {
  status: GAUGE,
  report: SHEET,
  train: CLIMB,
  retrain: AGAIN,
  triage: GLASS,
  reports: SHEETS,
};

/** One of the extension's icons, in the theme's colour. */
export function icon({ ui }: Jupyter, name: IconName): LabIcon {
  // The theme's class gives a colour to every attribute that its own element has: so no fill there.
  const svgstr = `${FRAME}><g ${STROKE}><g class="jp-icon3" stroke="#616161">${DRAWN[name]}</g></g></svg>`;
  return new ui.LabIcon({ name: `mlprod-nb:${name}`, svgstr });
}
