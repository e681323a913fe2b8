// A quiet line over a figure of the strip: why it shows nothing.

import { element, setText } from "./elements.js";
import { sizes } from "./figures.js";

/** Return `say(text)`, which writes over what is in `place`, a box within the strip. */
export function noteOver(strip, place) {
  const note = element("div", { className: "strip-note", role: "status" });
  Object.assign(note.style, { position: "absolute", textAlign: "center", pointerEvents: "none" });
  strip.append(note);
  return function say(text = note.textContent) {
    const { left, right } = sizes();
    setText(note, text);
    Object.assign(note.style, {
      top: `${place.offsetTop + 4}px`,
      left: `${left}px`,
      right: `${right}px`,
    });
  };
}
