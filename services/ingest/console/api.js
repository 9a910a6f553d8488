// What the gateway is asked: JSON under /admin with the admin's key, and the stream of its state.

const KEY = "mutation-engine.admin-key"; // sessionStorage: gone with the tab, never sent by itself
const SECONDS = 20; // for an answer
export const PATIENT_SECONDS = 90; // for a replay, which may wait for others who read the same topics
const SILENT_SECONDS = 20; // without an event, of which one comes every two seconds, or later while a server is away

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** An answer that says no: HTTP status (0: there was none), a title, and what to do. */
export class Refused extends Error {
  constructor(status, title, advice) {
    super(title);
    Object.assign(this, { status, title, advice });
  }
}

/** The `data` of an answer, or null where there is none. Throws Refused; an aborted call throws AbortError. */
export async function call(method, path, { body, signal, seconds = SECONDS } = {}) {
  const answer = await ask(method, path, body, AbortSignal.any([AbortSignal.timeout(seconds * 1000), ...(signal ? [signal] : [])]), signal);
  if (answer.status === 204) return null;
  const said = await answer.json().catch((error) => {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The answer broke off, or was none of the gateway's", "Try again. If this lasts, look at what stands between this browser and ingest.");
  });
  return said && typeof said === "object" && "data" in said ? said.data : said;
}

/** Each event's data, until the stream ends; throws as `call` does. */
export async function* events(path, signal) {
  const silence = new AbortController();
  const both = AbortSignal.any([signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENT_SECONDS * 1000);
  try {
    const answer = await ask("GET", path, undefined, both, signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = "", end; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_SECONDS * 1000);
      text += value.replaceAll("\r", "");
      while ((end = text.indexOf("\n\n")) >= 0) {
        const lines = text.slice(0, end).split("\n").filter((line) => line.startsWith("data:"));
        text = text.slice(end + 2);
        if (lines.length) yield JSON.parse(lines.map((line) => line.slice(5)).join("\n"));
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

async function ask(method, path, body, signal, leaving) {
  const headers = { "x-api-key": key.get() ?? "", accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (leaving?.aborted) throw error;
    throw new Refused(0, "The gateway does not answer", "It may be restarting: the console keeps trying. If this lasts, look at the process and the log of ingest.");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.title ?? `The gateway answered ${answer.status}`, problem.detail ?? "Look at the log of ingest.");
}
