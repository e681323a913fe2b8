// Which channels the present montage can show, and what their labels say of them.

const EAR = /^(?:A|M)[12]$/;
const ELECTRODE = /^(?:FP|AF|FT|FC|TP|CP|PO|SP|F|T|C|P|O|I|N|A|M)(Z|\d{1,2})$/;
const TYPES = [
  ["ecg", /\b(?:ECG|EKG)/],
  ["eog", /\b(?:EOG|LOC|ROC|LEOG|REOG|E[12]$|E[12][-_ ])/],
  ["emg", /\b(?:EMG|CHIN|LEG|RAT|LAT|TIB)/],
];

/**
 * Return all channels that a montage can show, in its order; dummies are left out.
 *
 * What the montage does not use follows below it, as it was recorded.
 */
export function curvesOf(detail, montage, montageList) {
  if (!detail) return [];
  const recorded = detail.groups.flatMap((group) =>
    group.channels.filter((channel) => !channel.dummy).map((channel) => asRecorded(group, channel)),
  );
  const found = montageShown({ montage, montageList });
  if (!found) return recorded;
  const group = eegGroup(detail, montageList);
  const derived = found.channels.map((label) => asDerived(group, label, found));
  const others = new Set(found.others);
  return [...derived, ...recorded.filter((curve) => others.has(curve.key))];
}

/** Return the montage that is shown; null where channels are as recorded, wanted or not. */
export function montageShown({ montage, montageList }) {
  if (montage === "recorded") return null;
  return montageList.find(({ name, reason }) => name === montage && !reason) ?? null;
}

/** Return the channels on the screen, from top to bottom. */
export function shownCurves(state) {
  const hidden = new Set(state.hidden);
  const shown = state.curves.filter((curve) => !hidden.has(curve.key));
  if (!state.order.length) return shown;
  const place = new Map(state.order.map((key, at) => [key, at]));
  const first = shown.filter((curve) => place.has(curve.key));
  first.sort((one, other) => place.get(one.key) - place.get(other.key));
  return [...first, ...shown.filter((curve) => !place.has(curve.key))];
}

/** Return what kind of signal a channel is: eeg, eog, ecg, emg, or other for what is no voltage. */
export function typeOf({ label, unit }) {
  if (unit !== "uV") return "other";
  const name = label.toUpperCase();
  return TYPES.find(([, pattern]) => pattern.test(name))?.[0] ?? "eeg";
}

/** Return the side of the head: odd electrodes are on the left, even on the right, z between. */
export function sideOf(label) {
  const names = label
    .toUpperCase()
    .replace(/^\s*EEG\s*/, "")
    .split(/[-\s_/]+/);
  // An ear as the reference says nothing of where the electrode is.
  const sides = names
    .filter((name, at) => at === 0 || !EAR.test(name))
    .map((name) => ELECTRODE.exec(name)?.[1])
    .filter((place) => place !== undefined)
    .map((place) => (place === "Z" ? "middle" : Number(place) % 2 ? "left" : "right"));
  if (!sides.length) return "none";
  const aside = new Set(sides.filter((side) => side !== "middle"));
  return aside.size === 1 ? [...aside][0] : "middle";
}

function asRecorded(group, channel) {
  const type = typeOf(channel);
  return Object.freeze({
    key: channel.key,
    label: channel.label,
    unit: channel.unit,
    group: group.group,
    rate_hz: group.rate_hz,
    kind: channel.unit === "uV" ? "eeg" : "other",
    type,
    side: type === "eeg" ? sideOf(channel.label) : "none",
    derived: false,
    asked: null,
  });
}

function asDerived(group, label, { name, derive }) {
  return Object.freeze({
    key: label,
    label,
    unit: "uV",
    group: group.group,
    rate_hz: group.rate_hz,
    kind: "eeg",
    type: "eeg",
    side: sideOf(label),
    derived: true,
    // How a page of it is asked for.
    asked: derive ? { montage: "custom", derive } : { montage: name },
  });
}

/** Return the rate group of the electrodes, of which montages are made. */
function eegGroup(detail, montageList) {
  const key = montageList.find(({ name }) => name === "recorded")?.channels[0];
  const found = detail.groups.find(({ channels }) => channels.some((each) => each.key === key));
  return found ?? detail.groups[0];
}
