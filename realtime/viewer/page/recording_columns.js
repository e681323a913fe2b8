// What a list of recordings shows of each, and by what it is sorted and filtered.

import { formatDuration, startOf } from "./clock.js";

const WORDS = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const NEITHER = Symbol("unknown");

/** The columns: what is shown of a recording, and what it is sorted by. */
export const COLUMNS = [
  { name: "patient", title: "Patient", text: (one) => one.patient_id },
  { name: "recording", title: "Recording", text: (one) => one.recording_id },
  {
    name: "date",
    title: "Start",
    text: (one) => dateOf(one),
    by: (one) => (one.start_time ? Date.parse(one.start_time) : NEITHER),
  },
  {
    name: "duration",
    title: "Duration",
    text: (one) => formatDuration(one.duration_sec),
    by: (one) => one.duration_sec,
  },
  {
    name: "channels",
    title: "Channels",
    text: (one) => `${one.channel_count} × ${ratesOf(one.rates_hz)}`,
    by: (one) => one.channel_count,
  },
  {
    name: "size",
    title: "Size",
    text: (one) => sizeOf(one.size_bytes),
    by: (one) => one.size_bytes,
  },
  { name: "state", title: "State", text: (one) => one.state, by: (one) => one.state },
];

/** Return the date and the time at which a recording began, by the clock of its place. */
export function dateOf(recording) {
  const start = startOf(recording);
  if (!start) return "unknown";
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return `${start.date} ${two(start.seconds / 3600)}:${two((start.seconds / 60) % 60)}`;
}

/** Return rates as text: `256 Hz`, or `1 – 512 Hz`. */
export function ratesOf(rates) {
  if (!rates.length) return "–";
  const round = (rate) => Number(rate.toFixed(2));
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  return least === most ? `${round(least)} Hz` : `${round(least)} – ${round(most)} Hz`;
}

/** Return a size as text, in powers of 1000. */
export function sizeOf(bytes) {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)));
  const number = bytes / 1000 ** power;
  return `${number.toFixed(power && number < 10 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** Return the recordings whose patient and name hold all words of a text, in order. */
export function arranged(listed, text, { by, down }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = listed.filter((one) => {
    const name = `${one.patient_id} ${one.recording_id}`.toLowerCase();
    return words.every((word) => name.includes(word));
  });
  const column = COLUMNS.find((one) => one.name === by);
  const member = column.by ?? column.text;
  const named = (one, other) =>
    WORDS.compare(one.patient_id, other.patient_id) ||
    WORDS.compare(one.recording_id, other.recording_id);
  return found.sort((one, other) => {
    const [left, right] = [member(one), member(other)];
    if (left === NEITHER || right === NEITHER) {
      return (left === NEITHER) - (right === NEITHER) || named(one, other);
    }
    const difference =
      typeof left === "number" && typeof right === "number"
        ? left - right
        : WORDS.compare(left, right);
    return (down ? -difference : difference) || named(one, other);
  });
}
