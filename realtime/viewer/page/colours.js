// The palette of the present theme, and the colour of each trace.

import { palette } from "./palette.js";

/** Return the colours of the present theme. */
export const colours = (state) => palette(state.theme);

/** Return the colour of a row's trace: by side, by type, or one for all. */
export function colourOf(ink, row, by) {
  if (by === "plain") return ink.trace;
  if (by === "type") return ink[row.type] ?? ink.trace;
  return (row.side === "none" ? ink.none : ink[row.side]) ?? ink.trace;
}
