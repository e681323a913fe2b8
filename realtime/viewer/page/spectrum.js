// The spectrogram of one channel: the page that is shown, and what surrounds it.

import * as api from "./api.js";
import { colours } from "./colours.js";
import { typeOf } from "./curves.js";
import { element, oneLine, setText } from "./elements.js";
import {
  COLOURS,
  axis,
  blank,
  colourRange,
  decibels,
  paper,
  plotWidth,
  show,
  sizes,
  timeAxis,
} from "./figures.js";
import { afterFirstPage, atMostEvery, loader, onceSettled } from "./pace.js";
import { on } from "./store.js";

/** Lengths of the windows that are transformed, in seconds. */
export const WINDOWS = [0.5, 1, 2, 4];
export const TOP_HZ = 70;

const PAGE = "#ffffff"; // edges of the page: on these colours, white is seen in both themes
const SETTLED_MS = 120;
const LIVE_MS = 2000;
const LEAST_S = 60; // that are shown, page and surroundings together
const MOST_COLUMNS = 480;
const STEPS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8];
const LEAST_SAMPLES = 4; // of a window: fewer have no spectrum
const RANGE_DB = 10;

/** Return all channels that have a spectrum: `{key, label, rate_hz, unit}`, the EEG first. */
export function spectralChannels(detail) {
  const found = (detail?.groups ?? []).flatMap((group) =>
    group.channels
      .filter((channel) => !channel.dummy && group.rate_hz * WINDOWS.at(-1) >= LEAST_SAMPLES)
      .map(({ key, label, unit }) => ({ key, label, unit, rate_hz: group.rate_hz })),
  );
  const eeg = (channel) => typeOf(channel) === "eeg";
  return [...found.filter(eeg), ...found.filter((channel) => !eeg(channel))];
}

/**
 * Return what is shown for a page, `{from, to, asked}`: the page and as much on either side, and
 * what the service is asked for it, at steps that give no more columns than can be told apart.
 */
export function askOf({ start, window, end, spectrum, spectrum_window: size }, rateHz) {
  const beside = Math.max(window, (LEAST_S - window) / 2);
  const from = Math.max(0, Math.min(start - beside, end - window - 2 * beside));
  const to = Math.min(end, Math.max(start + window + beside, from + window + 2 * beside));
  const least = Math.max((to - from) / MOST_COLUMNS, size / 8, 1 / rateHz);
  const step = STEPS.find((each) => each >= least) ?? STEPS.at(-1);
  // Windows stand at their centres: those at the edges reach beyond what is shown.
  const [first, last] = [Math.max(0, from - size / 2), Math.min(end, to + size / 2)];
  const asked = { channel: spectrum, start: first, end: last, window: size, step, fmax: TOP_HZ };
  return { from, to, asked };
}

/** Return the figure of an answer. */
export function spectrumFigure(state, { from, to, asked }, answer, rateHz, width) {
  const ink = colours(state);
  const { times } = answer;
  const rows = answer.frequencies.map((_, row) =>
    Float32Array.from(answer.power_db, (column) => column[row] ?? NaN),
  );
  const [zmin, zmax] = colourRange(rows.flatMap((row) => Array.from(row)), RANGE_DB);
  const lines = (times, look) =>
    times
      .filter((time) => time >= from && time <= to)
      .map((time) => ({
        type: "line",
        xref: "x",
        yref: "paper",
        x0: time,
        x1: time,
        y0: 0,
        y1: 1,
        layer: "above",
        ...look,
      }));
  const seizures = state.annotations.filter((mark) => mark.kind === "seizure");
  const heat = {
    type: "heatmap",
    name: answer.channel,
    x0: times[0],
    dx: times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : asked.step,
    y: Float64Array.from(answer.frequencies),
    z: rows,
    zmin,
    zmax,
    zsmooth: "fast",
    colorscale: COLOURS,
    colorbar: decibels(state, zmin, zmax),
    hoverongaps: false,
    hovertemplate: "%{x:.2f} s, %{y:.1f} Hz, %{z:.1f} dB<extra></extra>",
  };
  return {
    data: times.length ? [heat] : [],
    layout: {
      ...paper(state, { t: 6, b: sizes().axis }),
      hovermode: "closest",
      xaxis: timeAxis(state, from, to, width),
      yaxis: axis(state, {
        range: [0, Math.min(TOP_HZ, rateHz / 2)],
        showgrid: false,
        nticks: 6,
        title: { text: "Hz", standoff: 4 },
      }),
      shapes: [
        ...lines([state.start, state.start + state.window], {
          line: { color: PAGE, width: 1.5 },
        }),
        ...lines(
          seizures.flatMap(({ onset, duration }) => [onset, onset + (duration ?? 0)]),
          { name: "seizure", line: { color: ink.seizure, width: 2, dash: "dash" } },
        ),
      ],
    },
  };
}

export function mount(store) {
  const section = document.querySelector("#spectrum");
  const body = document.querySelector("#spectrum-body");
  const channel = element("select", {
    id: "spectrum-channel",
    title: "Channel of the spectrogram",
    "aria-label": "Channel of the spectrogram",
    onchange: () => store.set({ spectrum: channel.value || null }),
  });
  const size = element(
    "select",
    {
      id: "spectrum-window",
      title: "Length of the windows that are transformed",
      "aria-label": "Length of the windows that are transformed",
      onchange: () => store.set({ spectrum_window: Number(size.value) }),
    },
    ...WINDOWS.map(lengthOf),
  );
  const note = element("span", { id: "spectrum-note", role: "status" });
  const controls = document.querySelector("#spectrum-controls") ?? element("div");
  if (!controls.isConnected) section.prepend(controls);
  controls.append(
    labelled("Spectrogram", channel),
    labelled("Window", size),
    note,
  );
  const answers = loader(got, (error) => say(error.message));
  let known = []; // channels that have a spectrum
  let offered = null; // the recording and channels of which the list is
  let shown = false; // whether the first page is on the screen
  let drawn = null; // what is shown, and the answer to what was asked

  const recorded = () => known.find(({ key }) => key === store.get().spectrum) ?? null;

  function load() {
    const state = store.get();
    const found = recorded();
    if (!found || !state.end || !shown) return;
    const { spectrum_window: seconds } = state;
    if (seconds * found.rate_hz < LEAST_SAMPLES) {
      const needed = WINDOWS.find((each) => each * found.rate_hz >= LEAST_SAMPLES);
      say(`${found.rate_hz} samples per second are too few for ${seconds} s: choose ${needed} s.`);
      return;
    }
    const view = askOf(state, found.rate_hz);
    answers.load(async (signal) => ({
      view,
      rateHz: found.rate_hz,
      answer: await api.spectrogram(state, view.asked, signal),
    }));
  }

  function got(loaded) {
    drawn = loaded;
    const some = loaded.answer.power_db.some((column) => column.some((power) => power !== null));
    say(some ? "" : "Nothing is held here for as long as a window.");
    draw();
  }

  function draw() {
    if (!drawn) return;
    const { view, answer, rateHz } = drawn;
    show("spectrogram", spectrumFigure(store.get(), view, answer, rateHz, plotWidth(section)));
  }

  function clear() {
    drawn = null;
    blank("spectrogram", store.get());
  }

  function say(text) {
    setText(note, text);
  }

  /** Show or hide the spectrogram, and say why there is none. */
  function look() {
    const { spectrum, detail, spectrum_window: seconds } = store.get();
    const found = recorded();
    if (body) body.hidden = !found;
    channel.value = found ? spectrum : "";
    // A link can bring any length.
    const lengths = Array.from(size.options, ({ value }) => Number(value));
    if (!lengths.includes(seconds)) size.append(lengthOf(seconds));
    size.value = String(seconds);
    size.disabled = !found;
    settled.cancel();
    answers.drop();
    if (drawn && drawn.view.asked.channel !== found?.key) clear();
    if (!found) {
      say(spectrum && detail ? noSpectrum(spectrum) : "");
      return;
    }
    say("");
    load();
  }

  const settled = onceSettled(SETTLED_MS, load);

  function offer({ detail }) {
    known = spectralChannels(detail);
    // While it grows, a recording is described again and again; an open list must not close.
    const now = detail && JSON.stringify([detail.uuid, known]);
    if (detail && now === offered) return;
    offered = now;
    if (!detail) {
      shown = false;
      if (drawn) clear();
    }
    const options = known.map(({ key }) =>
      element("option", { value: key, textContent: oneLine(key, 60) }),
    );
    channel.replaceChildren(element("option", { value: "", textContent: "off" }), ...options);
    look();
  }

  document.querySelector("#traces").addEventListener("click", (event) => {
    const { frame } = store.get();
    const bounds = document.querySelector("#traces").getBoundingClientRect();
    if (!frame || event.clientX - bounds.left >= frame.left) return;
    const row = frame.rowAt(event.clientY - bounds.top);
    if (row) store.set(({ spectrum }) => ({ spectrum: spectrum === row.key ? null : row.key }));
  });
  store.subscribe(on(["detail"], offer));
  afterFirstPage(store, () => {
    shown = true;
    load();
  });
  store.subscribe(on(["spectrum", "spectrum_window"], look));
  store.subscribe(on(["start", "window"], () => recorded() && settled()));
  const grown = atMostEvery(LIVE_MS, load);
  store.subscribe(
    on(["end"], (now) => {
      const found = recorded();
      if (found && drawn && askOf(now, found.rate_hz).to > drawn.view.to) grown();
    }),
  );
  store.subscribe(on(["annotations", "theme", "clock"], draw));
  new ResizeObserver(onceSettled(SETTLED_MS, draw)).observe(section);
  offer(store.get());
}

const lengthOf = (value) => element("option", { value, textContent: `${value} s` });

function labelled(text, control) {
  const name = element("span", { textContent: text });
  return element("label", { className: "control" }, name, control);
}

function noSpectrum(key) {
  const name = oneLine(key, 60);
  return `${name} is made by the montage; spectra are of recorded channels: choose one.`;
}
