// Elements made without markup: what others wrote gets in as text, never as HTML.

/**
 * Return a new element. `members` are properties, except `dataset`, and names with a hyphen or
 * `role`, which are attributes; functions named `onX` become listeners. Children are elements or
 * texts; null leaves one out.
 */
export function element(tag, members = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(members)) {
    if (value === null || value === undefined) continue;
    if (name === "dataset") Object.assign(made.dataset, value);
    else if (name === "role" || name.includes("-")) made.setAttribute(name, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set an element's text if it is another one: what has not changed is not laid out again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Return a text that others wrote as one line, without what turns the direction of writing. */
export function oneLine(text, most = 300) {
  const cut = String(text).slice(0, most * 2);
  const plain = cut
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/[\s\x00-\x1f\x7f]+/g, " ")
    .trim();
  return plain.length > most || text.length > cut.length ? `${plain.slice(0, most)}…` : plain;
}

let region = null;

/** Tell those who do not see the page that something has been done. */
export function announce(text) {
  region ??= document.body.appendChild(
    element("div", { id: "said", className: "visually-hidden", role: "status" }),
  );
  // The same words twice have to be said twice.
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}
