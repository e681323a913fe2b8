// The records API as the viewer's own server passes it on; the only file that fetches.

const ROOT = "/api";
const SIGN_IN = "sign in in another tab, then try again";

/** Why the server, or the network, refused; `status` is 0 where nothing answered. */
export class Refused extends Error {
  constructor(status, detail, body = {}) {
    super(detail);
    this.name = "Refused";
    this.status = status;
    this.body = body;
  }

  /** Whether the same request may well succeed in a moment. */
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

function query(members) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) {
    if (value === null || value === undefined) continue;
    if (Array.isArray(value)) for (const each of value) parts.append(name, each);
    else parts.set(name, String(value));
  }
  return parts.toString();
}

/** Send a request and return the response, or throw `Refused`. `members` become the query. */
export async function request(path, members = {}, options = {}) {
  const asked = query(members);
  let response;
  try {
    response = await fetch(`${ROOT}${path}${asked ? `?${asked}` : ""}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the viewer's server does not answer");
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    // What was typed into a form must not be lost: who writes is told instead.
    const writing = Boolean(options.method);
    if (response.status === 401 && !writing) signIn();
    const told = response.status === 401 && writing ? SIGN_IN : body.detail;
    throw new Refused(response.status, told ?? response.statusText, body);
  }
  return response;
}

/** Whoever has not signed in, or whose token has run out, does so and comes back here. */
function signIn() {
  const here = location.pathname + location.search;
  location.assign(`/sign-in?next=${encodeURIComponent(here)}`);
}

/** Read the body of an answer; one that breaks off is as good as none. */
async function read(response, how) {
  try {
    return await how(response);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the answer broke off");
  }
}

const json = async (...asked) => read(await request(...asked), (answer) => answer.json());
const place = (recording) => `/recordings/${encodeURIComponent(recording)}`;

function send(method, body) {
  return {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
}

export const recordings = (signal) => json("/recordings", {}, { signal });

export const detail = ({ patient, recording }, signal) =>
  json(place(recording), { patient_id: patient }, { signal });

export const montages = ({ patient, recording }, derive = [], signal = undefined) =>
  json(`${place(recording)}/montages`, { patient_id: patient, derive }, { signal });

/** Return the montages of the viewer's files: `{montages: [{name, title, derive}], problems}`. */
export async function montageFiles(signal) {
  let response;
  try {
    response = await fetch("/montages", { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the viewer's server does not answer");
  }
  if (!response.ok) throw new Refused(response.status, response.statusText);
  return read(response, (answer) => answer.json());
}

/**
 * Return the samples of one rate group: `{header..., values, tag}`, where `values[n]` is a
 * Float32Array of channel `header.channels[n]`, in its unit, NaN where nothing was recorded. An
 * answer of the same `tag` holds the same.
 */
export async function samples({ patient, recording }, asked, signal) {
  const members = { patient_id: patient, recording_id: recording, ...asked, format: "f32" };
  const response = await request("/eeg", members, { signal });
  const answer = await read(response, async () => rawOf(await response.arrayBuffer()));
  return { ...answer, tag: response.headers.get("etag") };
}

/** Return the extremes of a recording at so many bins: the JSON answer of `/overview`. */
export const overview = ({ patient, recording }, asked, signal) =>
  json(`${place(recording)}/overview`, { patient_id: patient, ...asked }, { signal });

/** Return the colour density array: `{header..., values}`, a Uint8Array [column][row][channel]. */
export async function density({ patient, recording }, asked, signal) {
  const members = { patient_id: patient, ...asked, format: "raw" };
  const response = await request(`${place(recording)}/dsa`, members, { signal });
  return read(response, async () => {
    const [header, body, at] = lined(await response.arrayBuffer());
    return { ...header, values: new Uint8Array(body, at) };
  });
}

export const spectrogram = ({ patient, recording }, asked, signal) =>
  json(`${place(recording)}/spectrogram`, { patient_id: patient, ...asked }, { signal });

const notes = (recording) => `${place(recording)}/annotations`;

export const annotations = ({ patient, recording }, history = false) =>
  json(notes(recording), { patient_id: patient, history });

export const annotate = ({ patient, recording }, note) =>
  json(notes(recording), { patient_id: patient }, send("POST", note));

/** Enter a further version; `change` holds `reason`, and `version`, the one that was read. */
export const revise = ({ patient, recording }, id, change) =>
  json(`${notes(recording)}/${id}`, { patient_id: patient }, send("PATCH", change));

export const retract = ({ patient, recording }, id, reason, version) =>
  json(`${notes(recording)}/${id}`, { patient_id: patient, reason, version }, send("DELETE"));

/** Return the address of the socket that tells that a recording has grown. */
export function followUrl({ patient, recording }) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const asked = query({ patient_id: patient });
  return `${scheme}://${location.host}${ROOT}${place(recording)}/follow?${asked}`;
}

/** Split a raw answer into the members of its line of JSON, its buffer, and where numbers begin. */
function lined(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  return [JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), buffer, end + 1];
}

export function rawOf(buffer) {
  const [header, body, at] = lined(buffer);
  const [channels, points] = header.shape;
  const values = [];
  for (let number = 0; number < channels; number += 1) {
    values.push(new Float32Array(body, at + number * points * 4, points));
  }
  return { ...header, values };
}
