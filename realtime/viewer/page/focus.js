// Where the keyboard goes once something has been chosen.

/**
 * Let a list give the focus back to the traces when something was chosen with the pointer, or with
 * Escape: the arrow keys are theirs again. Whoever walks a list with the keyboard stays in it.
 */
export function givesBack(list) {
  const traces = () => document.getElementById("traces")?.focus({ preventScroll: true });
  let pointed = false;
  list.addEventListener("pointerdown", () => (pointed = true));
  list.addEventListener("keydown", (event) => {
    pointed = false;
    if (event.key === "Escape") traces();
  });
  list.addEventListener("blur", () => (pointed = false));
  list.addEventListener("change", () => {
    if (pointed) traces();
    pointed = false;
  });
}
