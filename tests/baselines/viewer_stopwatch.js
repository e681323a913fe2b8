// Times page turns within the page: of the viewer, and of a Dash application with one Plotly graph.

{
  const CHANNELS = 23;
  let began = 0; // of the first page: the navigation
  let place = null;

  const stopwatch = {
    turns: [], // {began, drawn, shown}: when, in ms since the navigation
    keys: [],
    draws: [],
    longestTask: 0,
    fetched: () =>
      performance.getEntriesByType("resource")
        .filter((each) => ["fetch", "xmlhttprequest"].includes(each.initiatorType))
        .reduce((sum, each) => sum + each.encodedBodySize, 0),
    plotted: (id) =>
      document.querySelector(`#${id} .js-plotly-plot`)?._fullData?.length > 0,
    restart() {
      const longest = stopwatch.longestTask;
      Object.assign(stopwatch, { keys: [], draws: [], longestTask: 0 });
      return longest;
    },
    jump(seconds) {
      began = performance.now();
      window.ranvier.actions.goTo(seconds);
    },
  };
  window.stopwatch = stopwatch;

  function drawn(start) {
    if (start === place) return; // the same page again
    place = start;
    const now = performance.now();
    stopwatch.draws.push(now);
    if (began === null) return;
    const turn = { began, drawn: now };
    began = null;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      stopwatch.turns.push({ ...turn, shown: performance.now() });
    }));
  }

  function acted(event) {
    if (event.type === "keydown" && event.key !== "ArrowRight") return;
    if (event.type === "keydown") stopwatch.keys.push(event.timeStamp);
    began ??= event.timeStamp;
  }

  function watchGraph() {
    const graph = document.querySelector(".js-plotly-plot");
    if (!graph?.on) {
      requestAnimationFrame(watchGraph);
      return;
    }
    graph.on("plotly_afterplot", () => {
      if (graph._fullData?.length === CHANNELS) drawn(graph._fullLayout.xaxis.range[0]);
    });
  }

  performance.setResourceTimingBufferSize(1e6);
  addEventListener("keydown", acted, true);
  addEventListener("click", acted, true);
  document.addEventListener("ranvier:drawn", ({ detail }) => {
    if (window.ranvier.drawn?.rows.length) drawn(detail.start); // not the empty page at first
  });
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) {
      stopwatch.longestTask = Math.max(stopwatch.longestTask, task.duration);
    }
  }).observe({ type: "longtask", buffered: true });
  // The viewer has Plotly graphs as well, which are not what is timed there.
  if (new URLSearchParams(location.search).has("kind")) watchGraph();
}
