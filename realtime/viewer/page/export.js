// What is shown as a file: a picture, a drawing, a plotly figure, or its samples.

import { request } from "./api.js";
import { formatTime } from "./clock.js";
import { colours } from "./colours.js";
import { montageShown } from "./curves.js";
import { announce, element, oneLine } from "./elements.js";
import { sizes } from "./figures.js";
import { FONT } from "./letters.js";
import { pageFigure } from "./page_figure.js";
import { gainOf } from "./rows.js";
import { shownSelection } from "./selection.js";
import { on } from "./store.js";
import { svgPen } from "./svg_pen.js";
import { paint } from "./traces.js";

const LAYERS = ["under", "traces", "over"];
const KEPT_MS = 60_000; // a download may begin late
const ENDINGS = { "application/zip": "zip" };
const PICTURES = ["export-png", "export-svg", "export-figure"];
const SAMPLES = { "export-csv": "csv", "export-edf": "edf" };
const SAMPLES_HINT =
  "The stretch that is shown, or selected, of all channels as they were recorded: " +
  "montage and filters play no part.";

/** Return the name of a file of a stretch: `chb01_03_clip 0h00m10s 10s.png`. */
export function fileName({ recording }, start, seconds, ending) {
  const stem = recording
    .replace(/\.(edf|bdf|gdf|xdf|nwb|csv|fif)$/i, "")
    .replace(/[\\/:*?"<>|\x00-\x1f\x7f]/g, "_");
  const tenths = Math.round(start * 10);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(tenths / 36_000);
  const minutes = two(Math.floor((tenths % 36_000) / 600));
  const rest = tenths % 600;
  const second = two(Math.floor(rest / 10)) + (rest % 10 ? `.${rest % 10}` : "");
  const length = Number(seconds.toFixed(3));
  return `${stem} ${hours}h${minutes}m${second}s ${length}s.${ending}`;
}

/** Return what has to be known of a picture once it is alone. */
export function caption(state) {
  const { frame } = state;
  const band = [
    state.hp ? `high-pass ${state.hp} Hz` : null,
    state.lp ? `low-pass ${state.lp} Hz` : null,
    state.notch ? `notch ${state.notch} Hz` : null,
  ].filter(Boolean);
  const montage = montageShown(state);
  const gains = frame.rows.filter(({ key }) => gainOf(state, key) !== 1);
  const scaled = gains.map(({ key, label }) => `${oneLine(label, 20)} × ${gainOf(state, key)}`);
  return [
    `${oneLine(state.patient ?? "", 60)} ${oneLine(state.recording, 80)}`.trim(),
    `${formatTime(state, frame.start, frame.start % 1 ? 1 : 0)}, ${frame.window} s`,
    band.join(", ") || "no filters",
    montage ? oneLine(montage.title || montage.name, 60) : "as recorded",
    `${state.sensitivity} µV/${state.scale === "mm" ? "mm" : "row"}`,
    ...(gains.length > 3 ? [`${gains.length} channels with gains of their own`] : scaled),
    `negative ${state.polarity}`,
  ].join(" · ");
}

/** Return the height of the line below the drawing, in CSS pixels. */
const captionHeight = () => Math.max(22, 2 * sizes().letters);

/** Return the drawing as a picture of the screen's resolution, with its caption, as a blob. */
export async function picture(state) {
  const layers = LAYERS.map((name) => document.querySelector(`#layer-${name}`));
  const { width, height } = layers[0];
  const ratio = width / state.frame.width;
  const canvas = new OffscreenCanvas(width, height + Math.round(captionHeight() * ratio));
  const pen = canvas.getContext("2d");
  pen.fillStyle = colours(state).background;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const layer of layers) pen.drawImage(layer, 0, 0);
  pen.scale(ratio, ratio);
  write(pen, state);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return the drawing as an SVG file, drawn by what draws it on the screen. */
export function drawing(state) {
  const { width, height } = state.frame;
  const whole = height + captionHeight();
  const pen = svgPen(width, whole);
  pen.fillStyle = colours(state).background;
  pen.fillRect(0, 0, width, whole);
  for (const layer of LAYERS) {
    pen.open(layer);
    pen.save();
    paint(layer, pen, state);
    pen.restore();
    pen.close();
  }
  write(pen, state);
  return pen.document(caption(state));
}

function write(pen, state) {
  pen.font = `${sizes().letters}px ${FONT}`;
  pen.fillStyle = colours(state).text;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(caption(state), 6, state.frame.height + captionHeight() / 2, state.frame.width - 12);
}

/** Return the stretch whose samples are exported: what is selected, or the page. */
export function stretchOf(state) {
  const { frame, start, window, end } = state;
  const selection = shownSelection(state);
  if (selection && selection.end > selection.start) {
    return { start: Math.max(0, selection.start), end: selection.end };
  }
  const from = frame?.start ?? start;
  return { start: from, end: Math.min(end, from + (frame?.window ?? window)) };
}

export function mount(store) {
  const menu = document.querySelector("#export");
  const busy = new Set();
  const button = (id) => document.querySelector(`#${id}`);
  const acts = {
    "export-png": async (state) => save(await picture(state), nameOf(state, "png")),
    "export-svg": (state) => {
      const file = new Blob([drawing(state)], { type: "image/svg+xml" });
      save(file, nameOf(state, "svg"));
    },
    "export-figure": (state) => openFigure(state),
    ...Object.fromEntries(
      Object.entries(SAMPLES).map(([id, form]) => [id, (state) => samples(state, form)]),
    ),
  };
  const nameOf = (state, ending) =>
    fileName(state, state.frame.start, state.frame.window, ending);

  for (const [id, act] of Object.entries(acts)) {
    button(id).addEventListener("click", async () => {
      menu.open = false;
      busy.add(id);
      able(store.get());
      try {
        const state = await upToDate(store);
        if (!state.frame || !state.pages) return;
        await act(state);
        if (store.get().problem?.where === "export") store.set({ problem: null });
      } catch (error) {
        store.set({ problem: problemOf(error) });
      } finally {
        busy.delete(id);
        able(store.get());
      }
    });
  }
  for (const id of Object.keys(SAMPLES)) button(id).title = SAMPLES_HINT;

  function able({ pages, frame, problem }) {
    const empty = !pages || !frame?.rows.length;
    // What is on the screen is then of another place, or looked at in another way.
    const stale = problem?.where === "page";
    for (const id of PICTURES) button(id).disabled = empty || stale || busy.has(id);
    for (const id of Object.keys(SAMPLES)) button(id).disabled = empty || busy.has(id);
  }
  store.subscribe(on(["pages", "frame", "problem"], able));
  able(store.get());
}

/** Wait until what is drawn is what the state says: a picture's caption has to be true. */
function upToDate(store) {
  if (!store.get().loading) return store.get();
  return new Promise((resolve) => {
    const stop = store.subscribe((now) => {
      if (now.loading) return;
      stop();
      resolve();
    });
  }).then(() => store.get()); // by then the frame has followed as well
}

async function samples(state, form) {
  const { start, end } = stretchOf(state);
  const asked = { patient_id: state.patient, start, end, format: form };
  // Fetched rather than linked to: a browser would save a refusal as if it were the file.
  const path = `/recordings/${encodeURIComponent(state.recording)}/export`;
  const response = await request(path, asked);
  const file = await response.blob();
  save(file, fileName(state, start, end - start, ENDINGS[file.type] ?? form));
}

function save(file, name) {
  const link = element("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
  announce(`${name} is saved.`);
}

function problemOf(error) {
  const common = { where: "export", status: error.status ?? null, passing: false };
  if (error.status === 403) {
    return { ...common, title: "You may not export this recording.", hint: error.message };
  }
  return { ...common, title: "The file could not be made.", hint: error.message };
}

/** Open the page as a figure of plotly's, with its ways to look closer, in a dialog. */
async function openFigure(state) {
  await plotly();
  const place = element("div", { className: "figure-place" });
  place.style.height = "80vh";
  const close = element("button", {
    type: "button",
    textContent: "Close",
    onclick: () => dialog.close(),
  });
  const head = element("header", {}, element("p", { textContent: caption(state) }), close);
  Object.assign(head.style, { display: "flex", justifyContent: "space-between" });
  const dialog = element(
    "dialog",
    { id: "figure-dialog", "aria-label": "The page as a plotly figure" },
    head,
    place,
  );
  dialog.addEventListener("close", () => {
    window.Plotly.purge(place);
    dialog.remove();
  });
  Object.assign(dialog.style, { width: "94vw", maxWidth: "none" });
  document.body.append(dialog);
  dialog.showModal();
  const { data, layout, config } = pageFigure(state);
  return window.Plotly.newPlot(place, data, layout, config);
}

/** Wait until plotly.js, which comes after the first page, is there. */
async function plotly() {
  for (let waited = 0; !window.Plotly; waited += 1) {
    if (waited === 300) throw new Error("plotly.js is not there yet; try again in a moment.");
    await new Promise((done) => setTimeout(done, 100));
  }
}
