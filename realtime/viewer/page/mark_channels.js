// Which channels a mark is about, whatever the montage in which it was made or is seen.

const ELECTRODE = /\d|Z$/; // AVG and REF are none

/** Return the electrodes that a derived channel is named after, in capitals. */
function electrodesOf({ derived, label }) {
  if (!derived) return [];
  return label
    .toUpperCase()
    .split("-")
    .filter((name) => ELECTRODE.test(name));
}

/** Whether a mark is about a row: about all, about its channel, or about all its electrodes. */
export function isAbout(mark, row) {
  if (!mark.channels.length) return true;
  if (mark.channels.some((name) => name === row.key || name === row.label)) return true;
  const electrodes = electrodesOf(row);
  const names = new Set(mark.channels.map((name) => name.toUpperCase()));
  return electrodes.length > 0 && electrodes.every((name) => names.has(name));
}

/** Return the rows that a mark is about; without one, those that share an electrode with it. */
export function rowsOf(mark, rows) {
  const found = rows.filter((row) => isAbout(mark, row));
  if (found.length) return found;
  const names = new Set(mark.channels.map((name) => name.toUpperCase()));
  return rows.filter((row) => electrodesOf(row).some((name) => names.has(name)));
}

/**
 * Return the recorded channels that keys of the present montage stand for: `{keys, unknown}`.
 *
 * Derived channels are not stored; a mark on one is a mark on the electrodes that it joins.
 */
export function recordedOf(keys, { detail, curves }) {
  const recorded = (detail?.groups ?? []).flatMap((group) => group.channels);
  const stored = new Set(recorded.map((channel) => channel.key));
  const labelled = new Map(recorded.map((channel) => [channel.label.toUpperCase(), channel.key]));
  const found = new Set();
  let unknown = 0;
  for (const key of keys) {
    const curve = curves.find((each) => each.key === key);
    const electrodes = curve ? electrodesOf(curve) : [];
    const named = electrodes.map((name) => labelled.get(name));
    if (!curve?.derived && stored.has(key)) found.add(key);
    else if (named.length && named.every(Boolean)) for (const each of named) found.add(each);
    else unknown += 1;
  }
  return { keys: [...found], unknown };
}
