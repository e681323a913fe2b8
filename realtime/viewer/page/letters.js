// Letters on the drawing: their font, and text cut to the room that there is.

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Return a text as far as it is no wider than `width` in the pen's font, with an ellipsis. */
export function fitted(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let [fits, most] = [0, text.length];
  while (fits < most) {
    const middle = Math.ceil((fits + most) / 2);
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= width) fits = middle;
    else most = middle - 1;
  }
  return fits ? `${text.slice(0, fits)}…` : "";
}
