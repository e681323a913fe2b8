// Before anything is painted: the theme of last time, or what the screen is set to.
{
  let theme = null;
  try {
    theme = localStorage.getItem("ranvier:theme");
  } catch {
    // no storage: then as the screen is set
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme =
    theme === "light" || theme === "dark" ? theme : dark ? "dark" : "light";
}
