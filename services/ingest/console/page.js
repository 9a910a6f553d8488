// Elements, made without markup: whatever text comes from clients and receivers can only ever become a text node.

import { Refused } from "./api.js";
import { moment, plain, spaced, tone } from "./words.js";

/** An element; attributes whose name begins with "on" are listeners, false and null ones are left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

const flat = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Put these in place of what an element holds. */
export const fill = (element, ...children) => element.replaceChildren(...flat(children));

/** The same for what is shown anew: what had the focus, was open or was closed keeps that, by its data-id. */
export function refill(element, ...children) {
  const open = new Map([...element.querySelectorAll("details")].map((each) => [each.dataset.id, each.open]));
  const at = element.contains(document.activeElement) && document.activeElement.dataset.id;
  fill(element, ...children);
  for (const each of element.querySelectorAll("details")) each.open = open.get(each.dataset.id) ?? each.open;
  if (at) element.querySelector(`[data-id="${CSS.escape(at)}"]`)?.focus();
}

/** An SVG element. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Text of a stranger, which can't turn the line around it. */
export const foreign = (text, attributes) => h("bdi", attributes, plain(text));
export const code = (text) => h("code", { translate: "no" }, foreign(text));
export const time = (iso) => (iso ? h("time", { datetime: iso, title: iso }, moment(iso)) : "–");
export const state = (word, label) => h("span", { class: `state ${tone(word)}` }, label ?? spaced(word));
export const link = (href, ...children) => h("a", { href }, children);
export const path = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");
export const mutationPath = (of) => path("mutations", of.environment, of.mutationId);

/** An id, shortened to its end, which differs most; the whole one is its title. */
export const short = (id) => h("code", { title: plain(id), translate: "no" }, id.length > 14 ? "…" + plain(id.slice(-12)) : plain(id));

export const title = (text, ...more) => h("div", { class: "title" }, h("h1", { tabindex: "-1" }, text), more);
export const section = (name, ...children) => h("section", { "aria-label": name }, h("h2", {}, name), children);
export const nothing = (what, then) => h("p", { class: "nothing" }, h("strong", {}, what), " ", then);
export const facts = (...pairs) => h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

/** A table; columns are [name, cell of a row, class]. On narrow screens each row becomes a card. */
export function table(label, columns, rows) {
  const head = h("tr", {}, columns.map(([name, , kind]) => h("th", { scope: "col", class: kind }, name || h("span", { class: "hidden" }, "Actions"))));
  const body = rows.map((row) => h("tr", {}, columns.map(([name, cell, kind]) => h("td", { class: kind, "data-name": name || null }, cell(row) ?? "–"))));
  return h("div", { class: "table" }, h("table", {}, h("caption", { class: "hidden" }, label), h("thead", {}, head), h("tbody", {}, body)));
}

export const button = (text, action, attributes) => h("button", { type: "button", onclick: action, ...attributes }, text);

/** What went wrong and what to do; `again` is called by its button. */
export function trouble(error, again) {
  const refused = error instanceof Refused ? error : new Refused(0, "The console has a fault", String(error?.message ?? error));
  return h("div", { class: "trouble", role: "alert", "data-failed": String(refused.status) }, h("strong", {}, sentenceOf(refused)), h("p", {}, plain(refused.advice)), again && button("Try again", again));
}

const sentenceOf = ({ status, title: words }) => `${plain(words)}${status ? ` (${status})` : ""}.`;

/** Tell it to those who listen instead of looking. */
export const say = (text) => { document.getElementById("said").textContent = text; };

/** A question in front of everything; the promise holds whether `yes` was chosen. Esc is no. */
export function confirm(words, { yes, danger = false, no = "Cancel" }, ...children) {
  return new Promise((settle) => {
    const dialog = document.getElementById("dialog");
    let answer = false;
    const choose = (value) => { answer = value; dialog.close(); };
    fill(dialog, h("h2", { id: "dialog-title" }, words), children,
      h("div", { class: "choices" },
        button(no, () => choose(false), { autofocus: danger || !yes }),
        yes && button(yes, () => choose(true), { class: danger ? "danger" : "primary", autofocus: !danger })));
    dialog.addEventListener("close", () => settle(answer), { once: true });
    dialog.showModal();
  });
}

/** A button whose action shows that it runs, and what went wrong right behind it. */
export function doing(text, action, attributes) {
  const problem = h("span", { class: "inline-trouble", role: "alert" });
  const element = button(text, async () => {
    if (element.hasAttribute("aria-busy")) return;
    element.setAttribute("aria-busy", "true");
    fill(problem);
    try {
      await action();
    } catch (error) {
      if (error?.name !== "AbortError") fill(problem, error instanceof Refused ? `${plain(error.title)}. ${plain(error.advice)}` : plain(error));
    } finally {
      element.removeAttribute("aria-busy");
    }
  }, attributes);
  return [element, problem];
}
