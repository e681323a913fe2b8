// How large a millimetre is on this screen: a person lays a ruler on a bar of known pixels.

import { element, setText } from "./elements.js";

const KEPT = "ranvier:px-per-mm";
const BAR_MM = 50;
const USUAL = 96 / 25.4;
const LEAST = 1.5; // css pixels per millimetre, of any screen that shows an EEG
const MOST = 20;

/** Fill the dialog and bind its button. */
export function mountCalibration(store) {
  const dialog = document.getElementById("calibrate-form");
  const bar = element("div", { className: "ruler" });
  const slide = element("input", {
    type: "range",
    min: String(LEAST * BAR_MM),
    max: String(Math.min(MOST * BAR_MM, 640)),
    step: "0.5",
    id: "calibrate-width",
    "aria-label": "Width of the bar",
  });
  const said = element("p", { className: "hint" });
  const show = (pxPerMm) => {
    bar.style.width = `${pxPerMm * BAR_MM}px`;
    slide.value = String(pxPerMm * BAR_MM);
    setText(said, `${(pxPerMm * 25.4).toFixed(0)} pixels per inch`);
  };
  const chosen = () => Number(slide.value) / BAR_MM;
  slide.addEventListener("input", () => show(chosen()));
  const form = element(
    "form",
    {
      method: "dialog",
      onsubmit: () => {
        keep(chosen());
        store.set({ pxPerMm: chosen() });
      },
    },
    element("h2", { textContent: "Calibrate the screen" }),
    element("p", {
      textContent: `Hold a ruler to the bar and slide until it is ${BAR_MM} mm long. Sensitivities in µV/mm are then true on this screen.`,
    }),
    element("div", { className: "ruler-place" }, bar),
    slide,
    said,
    element(
      "div",
      { className: "form-buttons" },
      element("button", { type: "button", textContent: "Usual size", onclick: () => show(USUAL) }),
      element("button", { type: "button", textContent: "Cancel", onclick: () => dialog.close() }),
      element("button", { type: "submit", className: "primary", textContent: "Use" }),
    ),
  );
  dialog.append(form);
  document.getElementById("calibrate").addEventListener("click", () => {
    show(store.get().pxPerMm);
    dialog.showModal();
    slide.focus();
  });
}

function keep(pxPerMm) {
  try {
    localStorage.setItem(KEPT, String(pxPerMm));
  } catch {
    // no storage: then for this visit only
  }
}
