// The console: asks for the key, shows one view for each address behind the #, keeps the state live, minds the keyboard.

import { Refused, call, events, key } from "./api.js";
import { mutation, search } from "./mutations.js";
import { deadLetters, deliveries, lag, letters, overview } from "./operations.js";
import { button, fill, h, path, say, title, trouble } from "./page.js";
import { tenant, tenants } from "./tenants.js";
import { zone } from "./words.js";

const VIEWS = [
  ["", overview, "Overview"],
  ["search/:id", search, "Search"],
  ["mutations/:environment/:id", mutation, "Mutation"],
  ["deliveries", deliveries, "Deliveries"],
  ["dead-letters", deadLetters, "Dead letters"],
  ["dead-letters/:topic", letters, "Dead letters"],
  ["lag", lag, "Lag"],
  ["tenants", tenants, "Tenants"],
  ["tenants/:name", tenant, "Tenant"],
];
const KEPT_STATES = 60; // two minutes of them, for the small curves

const main = document.getElementById("main");
const field = document.getElementById("q");
const live = { states: [], listeners: new Set(), connected: false };
let leaving = new AbortController();
let streaming = null;

function matched(address) {
  const parts = address.split("/").filter(Boolean);
  for (const [pattern, view, name] of VIEWS) {
    const wanted = pattern.split("/").filter(Boolean);
    if (wanted.length !== parts.length) continue;
    if (!wanted.every((part, n) => part.startsWith(":") || part === parts[n])) continue;
    try {
      return { view, name, parameters: Object.fromEntries(wanted.map((part, n) => [part.slice(1), decodeURIComponent(parts[n])])) };
    } catch {
      return null; // a % that stands for nothing
    }
  }
  return null;
}

/** Show what the address names. Views get their parameters and a context that ends when they are left. */
async function show({ focus = true } = {}) {
  if (!key.get()) return askForKey();
  document.body.classList.remove("locked");
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const from = document.activeElement;
  const [address, query] = location.hash.replace(/^#\/?/, "").split("?");
  const found = matched(address);
  mark(address);
  document.title = `${found?.name ?? "Not found"} – Mutation Engine`;
  if (found?.view !== search && found?.view !== mutation && document.activeElement !== field) field.value = "";
  const view = h("div", { class: "view" }, h("p", { class: "loading", role: "status" }, "Loading"));
  fill(main, view);
  if (!found) {
    fill(view, title("There is no such view"), h("p", {}, "Choose one above, or press / and search."));
    return;
  }
  const context = {
    signal,
    live,
    query: new URLSearchParams(query ?? ""),
    call: (method, where, options) => call(method, where, { ...options, signal }),
    onState: (listener) => { live.listeners.add(listener); signal.addEventListener("abort", () => live.listeners.delete(listener)); },
    again: () => show(), // what had the focus is gone
  };
  try {
    await found.view(view, found.parameters, context);
  } catch (error) {
    if (signal.aborted) return;
    if (locked(error)) return;
    fill(view, title("This could not be shown"), trouble(error, context.again));
  }
  // Who has gone on meanwhile, to a link above for instance, is not called back.
  if (focus && !signal.aborted && document.activeElement !== field && [from, document.body].includes(document.activeElement)) view.querySelector("h1")?.focus({ preventScroll: true });
}

function mark(address) {
  for (const each of document.querySelectorAll("nav a")) {
    const mine = each.getAttribute("href").slice(2);
    const here = mine === "" ? address === "" : address.split("/")[0] === mine;
    if (here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

function locked(error) {
  if (!(error instanceof Refused) || (error.status !== 401 && error.status !== 403)) return false;
  key.forget();
  askForKey(error.status === 401 ? "The gateway does not know this key; it may have been revoked." : "This is a tenant's key. The console needs an admin key.");
  return true;
}

function askForKey(problem) {
  leaving.abort();
  streaming?.abort();
  streaming = null;
  live.states.length = 0;
  document.body.classList.add("locked");
  document.title = "Mutation Engine";
  const input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-help key-problem", "aria-invalid": problem ? "true" : null });
  const wrong = h("p", { id: "key-problem", class: "wrong", role: "alert" }, problem);
  const form = h("form", { class: "unlock" },
    h("h1", {}, "Mutation Engine"),
    h("p", { class: "soft" }, "What is stuck, why a file failed, and what to do about it."),
    h("label", { for: "key" }, "Admin key"),
    h("div", { class: "joined" }, input, h("button", { class: "primary", type: "submit" }, "Open the console")),
    wrong,
    h("p", { id: "key-help", class: "soft" }, "It stays in this tab and is forgotten when you close it. Make one with ",
      h("code", {}, "mutation-engine keys create --admin"), "; a stack of ", h("code", {}, "make run"), " has one in ", h("code", {}, "stack.json"), "."));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!/^[!-~]+$/.test(input.value.trim())) {
      fill(wrong, "This is no key: a key has letters, digits and signs of ASCII only, and no spaces. Copy it again.");
      return input.focus();
    }
    key.set(input.value.trim());
    form.setAttribute("aria-busy", "true");
    try {
      live.states.push(await call("GET", "admin/state"));
      start();
    } catch (error) {
      if (!locked(error)) {
        key.forget();
        fill(wrong, `${error.title ?? error}. ${error.advice ?? ""}`);
        input.focus();
      }
    } finally {
      form.removeAttribute("aria-busy");
    }
  });
  fill(main, h("div", { class: "view" }, form));
  input.focus();
}

function start() {
  follow();
  show();
}

/** Keep the state coming: over restarts of ingest, with pauses that grow to five seconds; not while nobody looks. */
async function follow() {
  streaming?.abort();
  const mine = (streaming = new AbortController());
  for (let pause = 250; !mine.signal.aborted; ) {
    let broken = null;
    try {
      for await (const state of events("admin/state/events", mine.signal)) {
        pause = 250;
        connected(true);
        live.states.push(state);
        if (live.states.length > KEPT_STATES) live.states.shift();
        for (const listener of live.listeners) listener(state);
      }
    } catch (error) {
      if (mine.signal.aborted || locked(error)) return;
      broken = error;
    }
    if (mine.signal.aborted) return;
    // The gateway ends a stream in peace every few minutes, which nobody need be told of.
    if (broken || pause > 250) connected(false);
    await new Promise((resolve) => setTimeout(resolve, pause * (0.8 + Math.random() * 0.4)));
    pause = Math.min(pause * 2, 5000);
  }
}

function connected(yes) {
  const shown = document.getElementById("live");
  if (live.connected === yes && shown.textContent !== "Connecting") return;
  live.connected = yes;
  shown.textContent = yes ? "Live" : "Reconnecting";
  shown.classList.toggle("on", yes);
  shown.title = yes ? "The state comes every two seconds" : "No state comes: the gateway does not answer, or too many watch it; what you see is the last that came";
  // What could not be shown while the gateway was away is asked for again.
  if (yes && main.querySelector("[data-failed='0'],[data-failed='503']")) show({ focus: false });
}

document.addEventListener("visibilitychange", () => {
  if (!key.get()) return;
  if (document.hidden) streaming?.abort();
  else follow();
});

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = field.value.trim();
  if (!wanted) return say("Type an id first.");
  const address = path("search", wanted);
  field.blur();
  if (location.hash === address) show();
  else location.hash = address;
});

document.getElementById("leave").addEventListener("click", () => {
  key.forget();
  askForKey();
});

const typing = (element) => element.matches("input,select,textarea");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !key.get()) return;
  const at = document.activeElement ?? document.body;
  if (event.key === "/" && !typing(at)) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "Escape") {
    if (typing(at)) at.blur();
    else if (location.hash.replace(/^#\/?/, "") !== "") history.back();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (typing(at) && at !== field) return;
    const rows = [...main.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    const now = rows.indexOf(at), step = event.key === "ArrowDown" ? 1 : -1;
    if (now < 0 && step < 0) return;
    event.preventDefault();
    if (now + step < 0) field.focus();
    else rows[Math.min(now + step, rows.length - 1)].focus();
  }
});

// Leads to the content; as a link it would name a view.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

addEventListener("hashchange", () => show());
document.getElementById("zone").textContent = zone();
if (key.get()) start();
else askForKey();
