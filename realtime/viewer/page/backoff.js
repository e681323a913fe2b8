// How long to wait before the next try, after so many that failed; and waiting.

const WAITS_S = [1, 2, 4, 8, 15];

/** Return seconds: short at first, never more than a quarter of a minute. */
export const waitFor = (failures) => WAITS_S[Math.min(failures, WAITS_S.length - 1)];

/** Resolve after so many seconds, or as soon as a signal is aborted. */
export function pause(seconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    });
  });
}
