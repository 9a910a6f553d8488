// Tenants, their API keys and webhook secrets. What is made here is shown once.

import { button, code, confirm, doing, fill, foreign, h, nothing, path, say, section, state, table, time, title } from "./page.js";
import { counted } from "./words.js";

export async function tenants(view, _, context) {
  const list = await context.call("GET", "admin/tenants");
  const name = h("input", { id: "tenant", name: "tenant", required: true, pattern: "[a-z0-9\\-]{1,40}", maxlength: "40", autocomplete: "off", spellcheck: "false", "aria-describedby": "tenant-help" });
  const [make, problem] = doing("Create", async () => {
    if (!name.reportValidity()) return;
    const made = await context.call("POST", "admin/tenants", { body: { name: name.value } });
    say(`Tenant ${made.name} is there.`);
    location.hash = path("tenants", made.name);
  }, { class: "primary" });
  const form = h("form", { class: "after inline", onsubmit: (event) => { event.preventDefault(); make.click(); } },
    h("label", { for: "tenant" }, "New tenant"), name, make, h("span", { id: "tenant-help", class: "soft" }, "1 to 40 of a–z, 0–9 and -"), problem);
  fill(view, title("Tenants"),
    list.length
      ? table("Tenants", [["Name", (of) => h("a", { href: path("tenants", of.name), "data-row": true, class: "row" }, foreign(of.name))], ["Since", (of) => time(of.createdAt), "number"]], list)
      : nothing("There are no tenants.", "Create the first one below."),
    form);
}

export async function tenant(view, { name }, context) {
  const at = `admin/tenants/${encodeURIComponent(name)}`;
  const [keys, secrets] = await Promise.all([context.call("GET", at + "/keys"), context.call("GET", at + "/secrets")]);
  const ended = (iso) => iso && Date.parse(iso) <= Date.now();
  const made = async (what, value) => {
    await once(what, value);
    context.again();
  };
  const ending = (kind, verb, id, warning) => doing(verb, async () => {
    if (!(await confirm(`${verb} this ${kind}?`, { yes: `${verb} the ${kind}`, danger: true }, h("p", {}, code(id)), h("p", {}, warning)))) return;
    await context.call("DELETE", `${at}/${kind}s/${encodeURIComponent(id)}`);
    say(`The ${kind} is gone.`);
    context.again();
  }, { class: "dangerous" });
  fill(view,
    title(name, h("p", { class: "soft" }, `${counted(keys.filter((of) => !of.revokedAt).length, "live key")}, ${counted(secrets.filter((of) => !ended(of.retiredAt)).length, "live secret")}`)),
    section("API keys",
      keys.length ? table("API keys", [
        ["Public id", (of) => code(of.id), "wide"],
        ["State", (of) => (of.revokedAt ? h("span", { class: "state off" }, "Revoked") : state("live"))],
        ["Made", (of) => time(of.createdAt), "number"],
        ["Revoked", (of) => time(of.revokedAt), "number"],
        ["", (of) => (of.revokedAt ? " " : ending("key", "Revoke", of.id, "Within five seconds no request with it is taken any more. Give its clients another one first.")), "action"],
      ], keys) : nothing("No keys.", "Without one, this tenant can't call the API."),
      h("div", { class: "after" }, doing("Create a key", async () => made("API key", (await context.call("POST", at + "/keys")).key)))),
    section("Webhook secrets",
      secrets.length ? table("Webhook secrets", [
        ["Public id", (of) => code(of.id), "wide"],
        ["State", (of) => (ended(of.retiredAt) ? h("span", { class: "state off" }, "Retired") : of.retiredAt ? h("span", { class: "state wait" }, "Retires") : state("live"))],
        ["Made", (of) => time(of.createdAt), "number"],
        ["Until", (of) => time(of.retiredAt), "number"],
        ["", (of) => (ended(of.retiredAt) ? " " : ending("secret", "Retire", of.id, "It signs no more within seconds. Without any secret, this tenant's callbacks wait for a new one.")), "action"],
      ], secrets) : nothing("No secrets.", "Without one, this tenant's callbacks wait: create one, and give it to the receiver."),
      h("div", { class: "after" },
        doing("Rotate", async () => {
          if (!(await confirm("Rotate the webhook secrets?", { yes: "Rotate" }, h("p", {}, "A new secret is made; the others sign beside it for 24 hours and retire then. Within that time the receivers must take the new one.")))) return;
          await made("webhook secret", (await context.call("POST", at + "/secrets/rotate")).secret);
        }),
        doing("Add a secret", async () => made("webhook secret", (await context.call("POST", at + "/secrets")).secret)))));
}

function once(what, value) {
  const shown = h("output", { class: "issued" }, value);
  const copy = button("Copy", async () => {
    // Only on https and localhost may a page write to the clipboard; elsewhere the value is marked.
    try {
      await navigator.clipboard.writeText(value);
      fill(copy, "Copied");
    } catch {
      getSelection().selectAllChildren(shown);
      fill(copy, "Marked: press Ctrl+C");
    }
  });
  return confirm(`A new ${what}`, { no: "I have kept it" }, h("p", {}, "It can't be shown again: copy it now."), h("div", { class: "joined" }, shown, copy));
}
