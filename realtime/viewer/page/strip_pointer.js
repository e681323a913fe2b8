// The pointer on the strip: a line with the time follows it, a click goes there, dragging scrubs.

import { formatTime } from "./clock.js";
import { element, setText } from "./elements.js";
import { atMostEvery } from "./pace.js";

const SCRUB_MS = 60; // between pages while the pointer drags
const BESIDE = 4; // px that a click may be off the ends

/**
 * Let the pointer on the strip choose the page.
 *
 * `geometry()` gives `{left, width, height, last}`: the plotting area in CSS pixels, and the
 * second at its right end.
 */
export function mountPointer(box, geometry, store, actions) {
  const line = hoverLine(box);
  const centre = (time) => actions.goTo(time - store.get().window / 2);
  const scrub = atMostEvery(SCRUB_MS, centre);
  let dragging = null;

  function placeOf(event) {
    const { left, width, height, last } = geometry();
    const bounds = box.getBoundingClientRect();
    const x = event.clientX - bounds.left - left;
    const y = event.clientY - bounds.top;
    const time = (Math.min(width, Math.max(0, x)) / width) * last;
    const free = !event.target.closest("button, select, label, input");
    const within = x >= -BESIDE && x <= width + BESIDE && y >= 0 && y <= height;
    return { time, within: within && free && Boolean(store.get().detail) };
  }

  box.addEventListener("pointerdown", (event) => {
    const { time, within } = placeOf(event);
    if (event.button !== 0 || !within) return;
    dragging = event.pointerId;
    box.setPointerCapture(dragging);
    centre(time);
    event.preventDefault();
  });
  box.addEventListener("pointermove", (event) => {
    const { time, within } = placeOf(event);
    if (dragging === event.pointerId) scrub(time);
    if (dragging !== null || within) line.show(time, formatTime(store.get(), time), geometry());
    else line.hide();
  });
  box.addEventListener("pointerup", (event) => {
    if (dragging !== event.pointerId) return;
    dragging = null;
    scrub.cancel();
    centre(placeOf(event).time);
  });
  box.addEventListener("pointercancel", () => {
    dragging = null;
    scrub.cancel();
  });
  box.addEventListener("pointerleave", () => {
    if (dragging === null) line.hide();
  });
}

/** Return a line over the strip with a time beside it. */
function hoverLine(box) {
  const time = element("span", { className: "strip-time" });
  const line = element("div", { className: "strip-line" }, time);
  Object.assign(line.style, {
    position: "absolute",
    left: "0",
    top: "0",
    width: "1px",
    background: "currentColor",
    pointerEvents: "none",
    visibility: "hidden",
  });
  Object.assign(time.style, {
    position: "absolute",
    top: "0",
    padding: "0 4px",
    whiteSpace: "nowrap",
    fontVariantNumeric: "tabular-nums",
  });
  box.append(line);
  return {
    show(seconds, text, { left, width, height, last }) {
      const x = (seconds / last) * width;
      setText(time, text);
      time.style.left = x > width / 2 ? "auto" : "2px";
      time.style.right = x > width / 2 ? "2px" : "auto";
      line.style.height = `${height}px`;
      line.style.transform = `translateX(${left + x}px)`;
      line.style.visibility = "visible";
    },
    hide() {
      line.style.visibility = "hidden";
    },
  };
}
