// On the form of sign-in: whoever has signed in already goes on. After a link on another site a
// browser keeps the cookie back, but sends it with what this page asks.

try {
  const { signed_in: signedIn } = await (await fetch("/session", { cache: "no-store" })).json();
  if (signedIn) location.replace(document.querySelector("[name=next]").value);
} catch {
  // then the form is what there is
}
