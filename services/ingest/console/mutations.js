// Find a mutation by any id, and tell its whole story: why, when, and what came of its callback.

import { call } from "./api.js";
import { code, confirm, doing, facts, foreign, h, fill, link, mutationPath, nothing, path, refill, say, section, short, state, svg, table, time, title } from "./page.js";
import { ERRORS, STEPS, counted, lasted, plain, sentence, size, spaced } from "./words.js";

const OPEN = new Set(["accepted", "applying"]);
const SOURCES = { inline: "sent with the request", upload: "a temporary upload", rehearsed: "rehearsed in the sandbox" };
const BAD = new Set(["failed", "rejected", "refused", "lost"]);

export async function search(view, { id }, context) {
  document.getElementById("q").value = id;
  const { mutations } = await context.call("GET", "admin/search?q=" + encodeURIComponent(id));
  if (mutations.length === 1) {
    location.replace(mutationPath(mutations[0]));
    return;
  }
  fill(view,
    title(mutations.length ? `${counted(mutations.length, "mutation")} for this id` : "Nothing has this id", h("p", { class: "soft" }, code(id))),
    mutations.length
      ? hits(mutations)
      : nothing("No mutation was found.", "Check for a missing character. Ids of files, records, uploads, webhooks and mutations are found, and idempotency keys; what ended more than 90 days ago is gone."));
  view.querySelector("[data-row]")?.focus();
  say(counted(mutations.length, "result"));
}

const hits = (mutations) => table("Mutations, newest first", [
  ["Mutation", (of) => h("a", { href: mutationPath(of), "data-row": true, class: "row" }, `${spaced(of.kind ?? "command")}${of.type ? " " + of.type : ""}`)],
  ["State", (of) => state(of.status)],
  ["Tenant", (of) => [foreign(of.tenant), of.environment === "sandbox" ? h("span", { class: "tag" }, "sandbox") : null]],
  ["Idempotency key", (of) => code(of.idempotencyKey ?? "–"), "wide"],
  ["Accepted", (of) => time(of.acceptedAt), "number"],
  ["Ended", (of) => (of.endedAt ? time(of.endedAt) : "under way"), "number"],
], mutations);

export async function mutation(view, { environment, id }, context) {
  const address = `admin/mutations/${encodeURIComponent(environment)}/${encodeURIComponent(id)}`;
  let shown = "", running = false, asking = false;
  const load = async () => {
    const story = await context.call("GET", address);
    const text = JSON.stringify(story);
    if (text === shown) grow(view, story.steps);
    else tell(view, story, again);
    shown = text;
    running = unfinished(story);
  };
  const again = () => {
    running = true; // even if it can't be read just now
    return load();
  };
  await load();
  context.onState(async () => {
    if (!running || asking || document.querySelector("dialog[open]")) return;
    asking = true;
    // What can't be read now is read with the next event: the stream tells whether the gateway is there.
    await load().catch(() => {});
    asking = false;
  });
}

const unfinished = ({ mutation: of, deliveries }) => OPEN.has(of.status) || owed(of, deliveries) || deliveries.some((each) => each.state === "open");
// Asked for, and the notifier does not know of it yet.
const owed = (of, deliveries) => of.callbackOwed && !deliveries.length;

/** Draw anew what grows with the time alone; not under a selection, which would be gone. */
function grow(view, steps) {
  const line = view.querySelector("[data-grows]"), selected = getSelection();
  if (selected.isCollapsed || !selected.containsNode(line, true)) fill(line, timeline(steps));
}

function tell(view, story, again) {
  const { mutation: of, files, steps, deliveries } = story;
  const heading = title(verdict(of, files), h("p", { class: "soft lead" },
    `${spaced(of.kind ?? "command")} of `, of.type ? [plain(of.type), " ", of.recordId && short(of.recordId)] : "a record", " by ", h("strong", {}, foreign(of.tenant)),
    of.environment === "sandbox" ? [" ", h("span", { class: "tag" }, "sandbox")] : null, ", ", time(of.acceptedAt)));
  document.title = `${verdict(of, files)} – Mutation Engine`;
  refill(view,
    heading,
    waits(of),
    of.status === "batch" && h("p", { class: "note" }, "One request for several records, each of which is a mutation: ", link(path("search", of.mutationId), "see them"), "."),
    ownError(of),
    files.length ? section("Files", h("ul", { class: "files" }, [...files].sort((a, b) => BAD.has(b.state) - BAD.has(a.state)).map(file))) : null,
    section("Time line", h("div", { "data-grows": true }, timeline(steps))),
    section("Callback", deliveries.length ? deliveries.map((each) => delivery(of, each, again)) : uncalled(of)),
    section("Identity", facts(
      ["Mutation", code(of.mutationId)],
      ["Idempotency key", code(of.idempotencyKey ?? "none")],
      of.recordId && [spaced(of.type ?? "record"), link("#/search/" + encodeURIComponent(of.recordId), code(of.recordId))],
      ["State", state(of.status)],
      ["Ended", of.endedAt ? time(of.endedAt) : "not yet"],
      !of.endedAt && of.deadline && ["Deadline", time(of.deadline)],
      of.tries ? ["Tries after a fault", String(of.tries)] : null)));
}

function uncalled(of) {
  if (!of.callbackOwed) return nothing("No callback.", "The request named no callbackUrl.");
  if (OPEN.has(of.status)) return nothing("Not sent yet.", "It is sent when the mutation has ended.");
  return nothing("Not sent yet.", ["The notifier has not learnt of the end; it does within seconds, or once it is back: ", link("#/lag", "see the lag"), "."]);
}

function verdict(of, files) {
  const bad = files.filter((each) => BAD.has(each.state)).length;
  if (bad) return bad === files.length ? (bad === 1 ? "The file failed" : `All ${bad} files failed`) : `${bad} of ${files.length} files failed`;
  if (OPEN.has(of.status)) return of.parkedBehind ? "Waiting for its turn" : "Under way";
  if (of.status === "completed") return "Completed"; // how long it took, the time line says
  return { rejected: "The command was rejected", batch: "Several records in one request" }[of.status] ?? spaced(of.status);
}

function waits(of) {
  if (!of.parkedBehind || of.endedAt) return null;
  return h("p", { class: "note" }, "It waits for ", h("a", { href: mutationPath({ ...of, mutationId: of.parkedBehind }), "data-id": "behind" }, "an earlier mutation of the same record"),
    " that has not ended, and goes on by itself as soon as that has", of.deadline && ["; at ", time(of.deadline), " it would be given up"], ".");
}

const why = ({ code: word, reason, advice }, wrong = []) => h("div", { class: "why" },
  h("p", { class: "reason" }, sentence(plain(reason || spaced(word)))),
  wrong.length ? h("ul", {}, wrong.map((each) => h("li", {}, code(each.field || "the whole"), ": ", plain(each.message)))) : null,
  advice && h("p", {}, h("span", { class: "do" }, "What to do"), plain(advice)));

// When every file failed, each of them says why; that all did is the title already. Of one error alone all is said.
const ownError = ({ error, errors }) => (error && error.code !== "no_file_stored" ? why(error, errors?.filter((each) => each.code !== error.code || each.field)) : null);

function file(each) {
  const bad = BAD.has(each.state);
  return h("li", { class: bad ? "file bad" : "file" },
    h("div", { class: "file-head" }, h("strong", { class: "name" }, each.name ? foreign(each.name) : "(its own name)"), state(bad ? "failed" : each.state)),
    bad && why(each),
    facts(
      ["Source", SOURCES[each.source] ?? (each.source ? foreign(each.source) : "no longer known")],
      each.field && ["Field", plain(each.field)],
      each.code && ["Code", code(each.code)],
      each.bytes !== null && each.bytes !== undefined && ["Size", h("span", { title: `${each.bytes} bytes` }, size(each.bytes))],
      each.sha256 && ["SHA-256", h("code", { title: plain(each.sha256) }, plain(each.sha256.slice(0, 16)) + "…")],
      ["File", code(each.fileId)]));
}

/** Bars on two scales: what the engine did, in seconds, and the callbacks, whose pauses are hours. */
function timeline(steps) {
  const called = (step) => step.name === "callback";
  return [
    scale("In the engine", steps.filter((step) => !called(step))),
    scale("Callback attempts", steps.filter(called)),
  ];
}

function scale(name, steps) {
  if (!steps.length) return null;
  const now = Date.now();
  const spans = steps.map(({ from, to, state: reached }) => {
    const began = from ? Date.parse(from) : null, last = to ? Date.parse(to) : reached === "now" || reached === undefined ? Math.max(now, began ?? now) : null;
    return began === null || last === null ? null : [began, last];
  });
  const known = spans.filter(Boolean);
  const first = Math.min(...known.map(([from]) => from)), all = Math.max(...known.map(([, to]) => to)) - first;
  return h("div", { class: "scale" },
    h("div", { class: "scale-head" }, h("h3", {}, name), h("span", { class: "soft" }, known.length ? lasted(all) : "")),
    h("ol", { class: "steps" }, steps.map((step, n) => bar(step, n + 1, spans[n] && [spans[n][0] - first, spans[n][1] - spans[n][0]], Math.max(all, 1)))));
}

function bar(step, nth, span, all) {
  const called = step.name === "callback";
  const [label, means] = called ? [`Attempt ${nth}`] : STEPS[step.name] ?? [spaced(step.name)];
  // The label says the number already.
  const detail = called ? spaced((step.detail ?? "").replace(/^Attempt \d+:? /, "")) : step.detail;
  const running = span && !step.to;
  const drawn = svg("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", class: `span-bar ${running ? "running" : ""}`, "aria-hidden": "true" },
    svg("rect", { x: 0, y: 5.5, width: 1000, height: 1, class: "rail" }));
  if (span) {
    const width = Math.max((span[1] / all) * 1000, 4);
    drawn.append(svg("rect", { x: Math.min((span[0] / all) * 1000, 1000 - width), y: 0, width, height: 12, class: "span" }));
  }
  return h("li", { title: means },
    h("span", { class: "step" }, label, step.service && !called && h("span", { class: "service" }, plain(step.service))),
    drawn,
    h("span", { class: "number" }, !span ? "not known" : running ? `${lasted(span[1])} so far` : lasted(span[1])),
    detail && h("span", { class: "detail" }, plain(/^[a-z_]+$/.test(detail) ? spaced(detail) : detail)));
}

function delivery(of, each, again) {
  const telling = (each.attempts ?? []).findLastIndex((one) => one.excerpt);
  return h("div", { class: "delivery" },
    h("div", { class: "file-head" },
      h("strong", { class: "name" }, foreign(each.receiver ?? "receiver unknown")),
      state(each.state),
      each.nextAttemptAt && h("span", { class: "soft" }, "next attempt ", time(each.nextAttemptAt)),
      resendable(each) && h("span", { class: "push" }, resend(of.environment, [each.webhookId], again))),
    each.attempts?.length
      ? h("ol", { class: "attempts" }, each.attempts.map((one, n) => attempt(one, n + 1, each, n === telling)))
      : nothing("Not tried yet.", each.state === "open" ? "The first attempt follows within seconds." : "There was nothing left to send, or nowhere to send it."),
    facts(["Webhook", code(each.webhookId)]));
}

function attempt(one, n, each, open) {
  const good = one.status >= 200 && one.status < 300;
  const why = one.error ? ERRORS[one.error] ?? one.meaning ?? spaced(one.error) : "";
  return h("li", {},
    h("span", { class: "nth" }, `Attempt ${one.n ?? n}`), time(one.at), h("span", { class: "number" }, lasted(one.ms ?? 0)),
    h("span", { class: `state ${good ? "good" : "bad"}` }, one.status ? `HTTP ${one.status}` : "No answer"),
    h("span", { class: "soft" }, good ? "taken" : plain(why)),
    one.excerpt && h("details", { "data-id": `${each.webhookId}-${n}`, open: open && !good }, h("summary", { "data-id": `said-${each.webhookId}-${n}` }, "What it answered"), h("pre", {}, plain(one.excerpt))));
}

/** Whether anything is left to send again. */
export const resendable = (each) => each.resendable ?? each.state !== "delivered";

/** The button that sends these again, after it has said how many they are. */
export const resend = (environment, webhookIds, then) => doing("Resend", async () => {
  const ask = (dryRun) => call("POST", "admin/deliveries/resend", { body: { environment, webhookIds, dryRun } });
  const { count } = await ask(true);
  if (!count) return void (await confirm("Nothing to resend", { no: "Close" }, h("p", {}, "This delivery is under way already, or nothing is left to send.")));
  if (!(await confirm("Send this callback again?", { yes: "Send it again" }, h("p", {}, "The receiver gets the same outcome under the same webhook id, so a receiver that has it already ignores it.")))) return;
  const done = await ask(false);
  say(done.count ? "Sent again." : "Somebody has sent it again meanwhile.");
  await then();
}, { "data-id": "resend-" + webhookIds[0] });
