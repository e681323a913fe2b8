// Times as people read and write them: from the recording's start, or by the clock on the wall.

const DAY = 86400;
const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?/;

/**
 * Return the time of day at which a recording began, in seconds, and its date; or null.
 *
 * The clock is that of the place of recording, so the offset is left alone, and the zone of the
 * browser plays no part.
 */
export function startOf(detail) {
  const found = ISO.exec(detail?.start_time ?? "");
  if (!found) return null;
  const [, year, month, day, hour, minute, second] = found;
  return {
    date: `${year}-${month}-${day}`,
    seconds: Number(hour) * 3600 + Number(minute) * 60 + Number(second ?? 0),
  };
}

/** Whether times are shown by the clock: asked for, and the start is known. */
export function byClock(state) {
  return state.clock === "absolute" && startOf(state.detail) !== null;
}

/**
 * Return a position in the recording as text: `h:mm:ss` from its start, or the clock time, with
 * `+1d` for the day after the first one. `precision` is the number of decimals.
 */
export function formatTime(state, seconds, precision = 0) {
  return byClock(state)
    ? formatClock(state.detail, seconds, precision)
    : formatSpan(seconds, precision);
}

/** Return seconds as `h:mm:ss`, whatever the clock. */
export function formatSpan(seconds, precision = 0) {
  const [whole, decimals] = rounded(seconds, precision);
  const sign = seconds < 0 && (whole || Number(decimals.slice(1))) ? "-" : "";
  return `${sign}${Math.floor(whole / 3600)}:${minutesOf(whole)}${decimals}`;
}

/** Return the clock time at a position, `hh:mm:ss`, with the day; the start has to be known. */
export function formatClock(detail, seconds, precision = 0) {
  const start = startOf(detail);
  if (!start) return formatSpan(seconds, precision);
  // Floored, not rounded towards zero: a mark may lie before the recording's start.
  const unit = 10 ** precision;
  const ticks = Math.round((start.seconds + seconds) * unit);
  const day = Math.floor(ticks / (DAY * unit));
  const [whole, decimals] = rounded((ticks - day * DAY * unit) / unit, precision);
  const hour = String(Math.floor(whole / 3600)).padStart(2, "0");
  const marker = day === 0 ? "" : ` ${day > 0 ? "+" : "-"}${Math.abs(day)}d`;
  return `${hour}:${minutesOf(whole)}${decimals}${marker}`;
}

/** Return a length of time with its units: `350 ms`, `40.5 s`, `2 min 05 s`, `1 h 05 min`. */
export function formatDuration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s`;
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/**
 * Return the seconds from the start that a text means, or null.
 *
 * `75`, `1:15` and `0:01:15` are all the same; by the clock, `14:05` and `14:05:30` are times of
 * day, on the day that is nearest to the page unless one is named (`+1d`).
 */
export function parseTime(state, text) {
  const found = /^(-)?(?:(\d+):)?(?:(\d+):)?(\d+(?:[.,]\d*)?|[.,]\d+)(?:\s*([+-]\d+)d)?$/.exec(
    String(text).trim(),
  );
  if (!found) return null;
  const [, sign, first, second, last, day] = found;
  const parts = [first, second].filter((part) => part !== undefined).map(Number);
  const number = Number(last.replace(",", "."));
  if (parts.length && byClock(state)) {
    return sign ? null : ofClock(state, [...parts, number], day);
  }
  if (day !== undefined || (parts.length && number >= 60)) return null;
  if (parts.length === 2 && parts[1] >= 60) return null;
  const seconds = parts.reduce((sum, part) => (sum + part) * 60, 0) + number;
  return sign ? -seconds : seconds;
}

function ofClock(state, [hour, minute, second = 0], day) {
  if (hour > 23 || minute >= 60 || second >= 60) return null;
  const since = hour * 3600 + minute * 60 + second - startOf(state.detail).seconds;
  if (day !== undefined) return since + Number(day) * DAY;
  const end = state.end ?? 0;
  let best = since < 0 ? since + DAY : since;
  for (let at = best; at <= end; at += DAY) {
    if (Math.abs(at - state.start) < Math.abs(best - state.start)) best = at;
  }
  return best;
}

function rounded(seconds, precision) {
  const unit = 10 ** precision;
  const ticks = Math.round(Math.abs(seconds) * unit);
  const whole = Math.floor(ticks / unit);
  const decimals = precision ? `.${String(ticks - whole * unit).padStart(precision, "0")}` : "";
  return [whole, decimals];
}

function minutesOf(whole) {
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
}
