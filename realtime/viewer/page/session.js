// Who has signed in: a button to sign out, on the start page, and nothing left to see afterwards.

import { element } from "./elements.js";

let session = null;

/** Show it where somebody is signed in. */
export async function mountSession() {
  try {
    session = await asked();
  } catch {
    return; // why is told where recordings are asked for
  }
  if (!session.signed_in) return;
  const leave = element("button", { type: "submit", title: "Forget my token here" }, "Sign out");
  const form = element("form", { id: "sign-out", method: "post", action: "/sign-out" }, leave);
  document.getElementById("start-tools").append(form);
}

async function asked() {
  return (await fetch("/session", { cache: "no-store" })).json();
}

// A browser may keep the whole page, with all that it shows, and bring it back for whoever presses
// Back after its person has signed out.
addEventListener("pageshow", async (event) => {
  if (!event.persisted || session?.required === false) return;
  document.documentElement.style.visibility = "hidden";
  let now = null;
  try {
    now = await asked();
  } catch {
    // then nobody knows: the form says so
  }
  // Whoever is signed in by now may be another person, who sees what is theirs.
  if (now?.signed_in || now?.required === false) location.reload();
  else location.replace("/sign-in");
});
