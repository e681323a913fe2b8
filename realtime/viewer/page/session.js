// A button for people who have signed in: to sign out, on the start page.

import { element } from "./elements.js";

/** Show it where somebody is signed in. */
export async function mountSession() {
  let session;
  try {
    session = await (await fetch("/session")).json();
  } catch {
    return; // why is told where recordings are asked for
  }
  if (!session.signed_in) return;
  const leave = element("button", { type: "submit", title: "Forget my token here" }, "Sign out");
  const form = element("form", { id: "sign-out", method: "post", action: "/sign-out" }, leave);
  document.getElementById("start-tools").append(form);
}
