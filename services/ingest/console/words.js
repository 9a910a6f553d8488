// How values are said: times, durations, sizes, states. Everything returns text.

const numbers = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
// Control characters and those that turn the direction of text around: a name must not look like another one.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export const count = (n) => numbers.format(n ?? 0);
export const counted = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
export const plain = (text) => String(text).replace(UNSEEN, (it) => "\\u" + it.charCodeAt(0).toString(16).padStart(4, "0"));
export const sentence = (text) => (/[.!?]$/.test(text) ? text : text + ".");
export const spaced = (word) => { const text = String(word ?? "unknown").replaceAll("_", " "); return text[0].toUpperCase() + text.slice(1); };

export function moment(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
}

export function lasted(ms) {
  if (ms < 1) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59500) return `${(ms / 1000).toFixed(0)} s`;
  const seconds = Math.round(ms / 1000);
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const parts = d ? [`${d} d`, h && `${h} h`] : h ? [`${h} h`, m && `${m} min`] : [`${m} min`, s && `${s} s`];
  return parts.filter(Boolean).join(" ");
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999500) return `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function zone() {
  const offset = -new Date().getTimezoneOffset();
  const part = (n) => String(Math.abs(n)).padStart(2, "0");
  return offset ? `Times are UTC${offset < 0 ? "−" : "+"}${part(Math.trunc(offset / 60))}:${part(offset % 60)}, as on your clock` : "Times are UTC";
}

/** good, bad, wait or off: what a state means to whoever looks; colour only says again what the word says. */
export const tone = (state) => TONES[state] ?? "off";
const TONES = {
  stored: "good", completed: "good", delivered: "good", ready: "good", live: "good",
  failed: "bad", rejected: "bad", exhausted: "bad", gone: "bad", partially_completed: "bad",
  accepted: "wait", applying: "wait", pending: "wait", open: "wait", parked: "wait", batch: "wait", waiting: "wait",
};

// What the bar of each step means.
export const STEPS = {
  request: ["Request", "From the client's first byte to the entry in the ledger"],
  accepted: ["In the ledger", "Accepted; from here on nothing is lost. Waits to be published"],
  published: ["In the broker", "The event waits for the fetcher"],
  fetched: ["Fetched", "Files by URL are downloaded and staged"],
  parked: ["Parked", "Waits for an earlier mutation of the same record"],
  decided: ["Decided", "The bytes are judged and the outcome is fixed"],
  ended: ["Applied", "The outcome is carried out and told to the notifier"],
};

export const ERRORS = {
  client_error: "the receiver refused it",
  server_error: "the receiver failed",
  redirect: "the receiver redirected; redirects are not followed",
  gone: "the receiver said that it is gone",
  timeout: "nothing came within the time allowed",
  unreachable: "no connection: name, address or TLS failed",
  broken: "the connection broke before an answer came",
  no_secret: "the tenant has no live webhook secret: create one under Tenants",
};
