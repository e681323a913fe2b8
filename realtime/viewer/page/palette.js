// The colours of everything that is drawn on a canvas, for both themes.
//
// Left is blue and right is red, as readers of EEG know it from elsewhere; the pair also differs
// in lightness, so that it can be told apart without red or green. Each colour of a trace or of
// text keeps a contrast of 4.5 : 1 to its background.

const LIGHT = Object.freeze({
  background: "#ffffff",
  gutter: "#f5f7fa",
  text: "#1b2430",
  faint: "#5d6977",
  grid: "#cfd7e1",
  gridFaint: "#e9edf2",
  gap: "#eceff4",
  // traces: without a distinction, by side, by type
  trace: "#1b2430",
  left: "#0b57b0",
  right: "#a82614",
  middle: "#37424f",
  none: "#37424f",
  eeg: "#123a6b",
  eog: "#6d35a8",
  ecg: "#a82614",
  emg: "#7d5200",
  other: "#0a655f",
  // marks by kind
  seizure: "#d9251c",
  note: "#2563c4",
  marker: "#7a4fc0",
  file: "#0f766e",
  // what a person does
  cursor: "#374556",
  selection: "#2f7de0",
  caliper: "#8a5a00",
  // the whole recording
  envelope: "#4a6d94",
  envelopeHigh: "#a9bdd3",
});

const DARK = Object.freeze({
  background: "#0f141b",
  gutter: "#141b24",
  text: "#e2e8f0",
  faint: "#93a1b3",
  grid: "#303c4b",
  gridFaint: "#1c2530",
  gap: "#1b232e",
  trace: "#e2e8f0",
  left: "#74b3ff",
  right: "#ff9180",
  middle: "#cbd4df",
  none: "#cbd4df",
  eeg: "#a9cdf7",
  eog: "#cba6ff",
  ecg: "#ff9180",
  emg: "#e8b84f",
  other: "#5bd0c2",
  seizure: "#ff4a43",
  note: "#6ea8fe",
  marker: "#b79bff",
  file: "#4fc3b4",
  cursor: "#b4c0cf",
  selection: "#5a9df5",
  caliper: "#e8b84f",
  envelope: "#7d9fc4",
  envelopeHigh: "#3d526b",
});

/** Return the colours of a theme, by what they are for. */
export function palette(theme) {
  return theme === "dark" ? DARK : LIGHT;
}
