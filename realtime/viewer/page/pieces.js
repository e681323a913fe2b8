// When the points of a rate group were taken: by their places on the grid, and the clock's shifts.

const BIN = 2; // points of each bin: its lowest and its highest sample

/**
 * Add to a rate group, as it was answered, where its channels are (`places`), how far apart its
 * points lie (`step`, in seconds; the first `centre` steps behind `start`), and its `pieces`.
 *
 * Those are points `[first, stop)` of one shift, of which the first lies at `start`. One that is
 * `joined` goes on with the line of the one before: its clock has drifted, and nothing is missing.
 */
export function placed(group) {
  const [, points] = group.shape;
  const chosen = points < group.num_samples;
  const each = chosen ? group.num_samples / points : 1; // samples of a point
  const centre = chosen ? 0.5 : 0;
  const step = (each * group.rate[1]) / group.rate[0];
  const pieces = [];
  let end = -1; // of the piece before, on the grid
  let drift = 0;
  let stop = 0;
  let joined = true;
  for (const [place, length, shift] of listed(group)) {
    const from = place - group.start_sample;
    joined &&= from === end && Math.abs(shift - drift) * 2 * group.rate[0] <= 1e6 * group.rate[1];
    const first = Math.max(stop, chosen ? firstOf(from, BIN * each) : from);
    end = from + length;
    drift = shift;
    stop = Math.max(first, Math.min(points, chosen ? stopOf(end, BIN * each) : end));
    // What shares a bin with the piece before is drawn with that one.
    if (stop === first) continue;
    const at = group.start_sample + (first + centre) * each;
    const start = (at * group.rate[1]) / group.rate[0] + shift / 1e6;
    pieces.push({ first, stop, start, joined });
    joined = true;
  }
  const places = new Map(group.channels.map((channel, number) => [channel.key, number]));
  return { ...group, step, centre, pieces, places };
}

// Bins begin at whole samples; one too many holds nothing, or belongs to the piece before.
const firstOf = (place, bin) => BIN * Math.max(0, Math.floor((place + 0.5) / bin - 1e-9));
const stopOf = (end, bin) => BIN * (Math.floor((end - 0.5) / bin + 1e-9) + 1);

/** Return the pieces of an answer; of more than it lists, the rest is taken for one. */
function listed({ pieces, num_pieces: all, start_sample: start, num_samples: length }) {
  if (pieces.length === all) return pieces;
  const [place, count, shift] = pieces.at(-1);
  return [...pieces, [place + count, start + length - place - count, shift]];
}
