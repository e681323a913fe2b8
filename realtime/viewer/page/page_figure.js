// The page as a figure of plotly's own: slower to draw, but each value can be read and zoomed at.

import { colourOf, colours } from "./colours.js";
import { unitText } from "./cursor.js";
import { axis, paper, plain, timeAxis } from "./figures.js";
import { channelOf, timesOf } from "./rows.js";

const CONFIG = {
  displaylogo: false,
  responsive: true,
  scrollZoom: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

/** Return `{data, layout, config}` of the page that is drawn: a trace for each row, as it lies. */
export function pageFigure(state) {
  const { frame, pages } = state;
  const ink = colours(state);
  const data = frame.rows.flatMap((row) => {
    const found = channelOf(pages, row.key);
    if (!found || !found.group.pieces.length) return [];
    const { group, values } = found;
    const line = lineOf(group, values);
    return [
      {
        type: "scatter",
        mode: "lines",
        name: plain(row.label),
        x: line.times,
        y: line.values.map((value) => frame.yAt(row, value)),
        customdata: line.values,
        connectgaps: false,
        line: { color: colourOf(ink, row, state.colours), width: 1 },
        hovertemplate: `%{x:.3f} s, ${amount(row)}<extra>%{fullData.name}</extra>`,
      },
    ];
  });
  const layout = {
    ...paper(state, { l: frame.left, r: 8, t: 36, b: 30 }),
    paper_bgcolor: ink.background,
    plot_bgcolor: ink.background,
    dragmode: "zoom",
    hovermode: "closest",
    xaxis: timeAxis(state, frame.start, frame.start + frame.window, frame.right - frame.left, {
      fixedrange: false,
      showgrid: true,
    }),
    yaxis: axis(state, {
      range: [frame.bottom, frame.top],
      tickmode: "array",
      tickvals: frame.rows.map((row) => row.middle),
      ticktext: frame.rows.map((row) => plain(row.label)),
      showgrid: false,
      fixedrange: false,
    }),
  };
  return { data, layout, config: CONFIG };
}

/** Return the points of a channel, with one that is none wherever its line breaks. */
function lineOf(group, values) {
  const line = { times: Array.from(timesOf(group)), values: Array.from(values) };
  for (let at = group.pieces.length - 1; at > 0; at -= 1) {
    const { first, start, joined } = group.pieces[at];
    if (joined || first > group.pieces[at - 1].stop) continue;
    line.times.splice(first, 0, start);
    line.values.splice(first, 0, NaN);
  }
  return line;
}

function amount(row) {
  return `%{customdata:.${row.decimals}f} ${plain(unitText(row.unit))}`;
}
