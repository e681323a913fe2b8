// A pen that makes an SVG file: the part of CanvasRenderingContext2D that the layers draw with.

const NAMES = "http://www.w3.org/2000/svg";
const XML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
// XML 1.0 has no place for these, not even escaped.
const NO_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g;
const FONT = /^(?:(italic|oblique) )?(?:(bold|bolder|lighter|\d+) )?([\d.]+)px(?:\/\S+)? (.+)$/;
const ANCHORS = { center: "middle", right: "end", end: "end" };
const PLAIN = {
  strokeStyle: "#000000",
  fillStyle: "#000000",
  lineWidth: 1,
  font: "10px sans-serif",
  textAlign: "start",
  textBaseline: "alphabetic",
  globalAlpha: 1,
};

/** Return text that may stand in an XML file, as content or within quotes. */
export function escaped(text) {
  return String(text)
    .toWellFormed()
    .replace(NO_XML, "\ufffd")
    .replace(/[&<>"']/g, (sign) => XML[sign]);
}

/**
 * Return a pen of so many CSS pixels; `pen.document(title)` gives the file.
 *
 * `clearRect` does nothing: a file is drawn once, on new paper.
 */
export function svgPen(width, height) {
  const body = [];
  const saved = [];
  const clips = [];
  const ruler = new OffscreenCanvas(1, 1).getContext("2d");
  let path = [];
  let moved = null; // where the next line begins, if it does not go on
  let matrix = [1, 0, 0, 1, 0, 0];
  let dash = [];
  let clip = null;

  const at = (x, y) => [
    matrix[0] * x + matrix[2] * y + matrix[4],
    matrix[1] * x + matrix[3] * y + matrix[5],
  ];

  function add(tag, attributes, text = null) {
    const given = { ...attributes };
    if (pen.globalAlpha < 1) given.opacity = short(pen.globalAlpha);
    if (clip) given["clip-path"] = `url(#${clip})`;
    const all = Object.entries(given)
      .map(([name, value]) => ` ${name}="${escaped(value)}"`)
      .join("");
    body.push(text === null ? `<${tag}${all}/>` : `<${tag}${all}>${escaped(text)}</${tag}>`);
  }

  function outline() {
    const found = {
      fill: "none",
      stroke: pen.strokeStyle,
      "stroke-width": short(pen.lineWidth),
    };
    if (dash.length) found["stroke-dasharray"] = dash.map(short).join(" ");
    return found;
  }

  function corners(x, y, w, h) {
    const points = [at(x, y), at(x + w, y), at(x + w, y + h), at(x, y + h)];
    return `${points.map(([px, py], n) => `${n ? "L" : "M"}${short(px)} ${short(py)}`).join("")}Z`;
  }

  const pen = {
    ...PLAIN,
    save() {
      const style = Object.fromEntries(Object.keys(PLAIN).map((name) => [name, pen[name]]));
      saved.push({ style, matrix, dash, clip });
    },
    restore() {
      const last = saved.pop();
      if (!last) return;
      Object.assign(pen, last.style);
      ({ matrix, dash, clip } = last);
    },
    translate(x, y) {
      const [a, b, c, d] = matrix;
      matrix = [a, b, c, d, ...at(x, y)];
    },
    rotate(angle) {
      const [a, b, c, d, e, f] = matrix;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      matrix = [a * cos + c * sin, b * cos + d * sin, c * cos - a * sin, d * cos - b * sin, e, f];
    },
    beginPath() {
      path = [];
      moved = null;
    },
    moveTo(x, y) {
      moved = at(x, y);
    },
    lineTo(x, y) {
      if (moved) path.push(["M", moved]);
      else if (!path.length) {
        pen.moveTo(x, y);
        return;
      }
      moved = null;
      path.push(["L", at(x, y)]);
    },
    rect(x, y, w, h) {
      path.push(["Z", corners(x, y, w, h)]);
      moved = null;
    },
    stroke() {
      const d = written(path);
      if (d) add("path", { d, ...outline() });
    },
    fill() {
      const d = written(path);
      if (d) add("path", { d, fill: pen.fillStyle });
    },
    clip() {
      const id = `clip${clips.length + 1}`;
      const inner = `<path d="${written(path)}"/>`;
      // The clip that was in force still is.
      const outer = clip ? ` clip-path="url(#${clip})"` : "";
      clips.push(`<clipPath id="${id}"${outer}>${inner}</clipPath>`);
      clip = id;
    },
    fillRect(x, y, w, h) {
      add("path", { d: corners(x, y, w, h), fill: pen.fillStyle });
    },
    strokeRect(x, y, w, h) {
      add("path", { d: corners(x, y, w, h), ...outline() });
    },
    clearRect() {},
    setLineDash(lengths) {
      dash = [...lengths];
    },
    measureText(text) {
      ruler.font = pen.font;
      return ruler.measureText(text);
    },
    fillText(text, x, y, most) {
      // Not all programs know an SVG's baselines, so all text is moved to the usual one.
      ruler.font = pen.font;
      ruler.textBaseline = pen.textBaseline;
      const there = ascent(ruler);
      ruler.textBaseline = "alphabetic";
      const usual = ruler.measureText(text);
      const [a, b, c, d] = matrix;
      const [px, py] = at(x, y + ascent(ruler) - there);
      const turned = a !== 1 || b !== 0 || c !== 0 || d !== 1;
      add(
        "text",
        {
          ...(turned
            ? { transform: `matrix(${[a, b, c, d, px, py].map(short).join(" ")})` }
            : { x: short(px), y: short(py) }),
          ...fontOf(ruler.font),
          fill: pen.fillStyle,
          ...(ANCHORS[pen.textAlign] ? { "text-anchor": ANCHORS[pen.textAlign] } : {}),
          ...(most !== undefined && usual.width > most
            ? { textLength: short(most), lengthAdjust: "spacingAndGlyphs" }
            : {}),
          "xml:space": "preserve",
        },
        text,
      );
    },
    /** Begin a group, for programs in which people edit the drawing. */
    open(name) {
      body.push(`<g id="${escaped(name)}">`);
    },
    close() {
      body.push("</g>");
    },
    /** Return the file. */
    document(title) {
      const [w, h] = [short(width), short(height)];
      return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        `<svg xmlns="${NAMES}" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}">`,
        `<title>${escaped(title)}</title>`,
        ...(clips.length ? [`<defs>${clips.join("")}</defs>`] : []),
        ...body,
        "</svg>",
        "",
      ].join("\n");
    },
  };
  return pen;
}

/** Return how far the top of a font lies above its baseline. */
function ascent(ruler) {
  return ruler.measureText("x").fontBoundingBoxAscent;
}

/** Return a number with no more digits than can be seen. */
function short(number) {
  return typeof number === "number" ? String(Math.round(number * 100) / 100) : number;
}

/** Return a path's data; points that fall on the one before are left out. */
function written(path) {
  let text = "";
  let last = "";
  for (const [kind, point] of path) {
    if (kind === "Z") {
      text += point;
      last = "";
      continue;
    }
    const place = `${short(point[0])} ${short(point[1])}`;
    if (kind === "L" && place === last) continue;
    text += kind + place;
    last = place;
  }
  return text;
}

function fontOf(font) {
  const found = FONT.exec(font);
  if (!found) return {};
  const [, style, weight, size, family] = found;
  return {
    "font-family": family,
    "font-size": size,
    ...(style ? { "font-style": style } : {}),
    ...(weight ? { "font-weight": weight } : {}),
  };
}
