// Where pages begin: counted from the recording's start, the last one may be shorter.

// Of seconds that were divided, so that 0.1 * 3 pages are three pages.
const DIGITS = 9;
const pagesIn = (seconds, window) => Math.ceil(Number((seconds / window).toFixed(DIGITS)));

/** Return where the last page begins, when pages are counted from the start. */
export const lastPage = (end, window) => Math.max(0, pagesIn(end, window) - 1) * window;

/** Return where the last full page begins. */
export const farthest = ({ end, window }) => Math.max(0, end - window);

/** Return what changes when a recording reaches to `end`: a full page turns if it is followed. */
export function grownTo({ end: before, start, window, following }, end) {
  if (end <= before) return {};
  const pages = pagesIn(end - start, window) - 1;
  return following && pages > 0 ? { end, start: start + pages * window } : { end };
}
