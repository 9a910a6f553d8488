// How the system stands: state, deliveries, dead letters, lag.

import { PATIENT_SECONDS } from "./api.js";
import { confirm, code, doing, facts, fill, foreign, h, link, mutationPath, nothing, path, refill, say, section, short, state, svg, table, time, title, trouble } from "./page.js";
import { resend, resendable } from "./mutations.js";
import { ERRORS, count, counted, lasted, plain, spaced } from "./words.js";

const SERVERS = { kafka: "Kafka", mongodb: "MongoDB" };
const HOUR = 3600e3;
const WINDOWS = { "1h": ["the last hour", HOUR], "24h": ["the last 24 hours", 24 * HOUR], "7d": ["the last 7 days", 7 * 24 * HOUR], "30d": ["the last 30 days", 30 * 24 * HOUR] };
const LATE_SECONDS = 60; // of lag, before it is worth a word
const LATE_PARKED = 10 * 60e3;
const LISTED = 100;
const RESENT_AT_ONCE = 1000; // limits.DELIVERIES_RESENT
const FAILURES_EVERY = 5; // events of the state
const TRIED = "deliveries?state=open&window=30d"; // callbacks that are not delivered yet
const AGAIN_MS = [2000, 6000, 15000]; // after a replay, when its records may have become letters again

export async function overview(view, _, context) {
  const verdict = h("p", { class: "verdict" });
  const tiles = h("div", { class: "tiles" });
  const failures = h("div", {}, h("p", { class: "loading", role: "status" }, "Loading"));
  fill(view, title("Overview"), verdict, tiles, section("Latest failures", failures));
  const known = { dead: null, now: null };
  const draw = (now) => {
    const at = [...tiles.children].indexOf(document.activeElement);
    known.now = now;
    if (!verdict.contains(document.activeElement)) fill(verdict, judged(now, known.dead)); // nobody loses their place
    fill(tiles, tilesOf(now, context.live.states));
    tiles.children[at]?.focus();
  };
  let loading = false;
  const load = async () => {
    if (loading) return; // a slow answer is not asked for again
    loading = true;
    try {
      const { dead, shown } = await latest(context);
      known.dead = dead;
      draw(known.now);
      if (!failures.contains(document.activeElement)) fill(failures, shown); // nobody loses their place
    } catch (error) {
      if (!context.signal.aborted) fill(failures, trouble(error, load));
    } finally {
      loading = false;
    }
  };
  let events = 0;
  context.onState((now) => {
    draw(now);
    if (++events % FAILURES_EVERY === 0) load();
  });
  draw(context.live.states.at(-1) ?? (await context.call("GET", "admin/state")));
  await load();
}

function judged({ lag: partitions, mutations, callbacks, parked, away }, dead) {
  if (away?.length) return [state("failed", "Away"), ` ${away.map((each) => SERVERS[each] ?? plain(each)).join(" and ")} cannot be asked. What was accepted is safe and goes on by itself once that is back.`];
  const late = partitions.filter((each) => each.lag > 0 && each.ageSeconds > LATE_SECONDS).sort((a, b) => b.ageSeconds - a.ageSeconds)[0];
  const old = parked.filter((each) => each.since && Date.now() - Date.parse(each.since) > LATE_PARKED);
  if (late) return [state("failed", "Behind"), ` ${plain(late.group)} does not keep up with ${plain(late.topic)}: its oldest event waits for ${lasted(late.ageSeconds * 1000)}. Look at that service's /healthz and log; `, link("#/lag", "see the lag"), "."];
  if (old.length) return [state("parked", "Waiting"), ` ${counted(old.length, "mutation")} parked for more than ten minutes behind another of the same record: `, link("#/lag", "see which"), "."];
  const work = mutations.open ? `${counted(mutations.open, "mutation")} under way, none of them late.` : "No mutation is under way.";
  const owed = callbacks?.open ? [` ${counted(callbacks.open, "callback")} not delivered yet: `, link("#/" + TRIED, "see which"), "."] : null;
  if (dead) return [state("parked", "Look"), ` ${work}`, owed, ` ${counted(dead, "dead letter")}: `, link("#/dead-letters", "see why"), "."];
  if (mutations.open || owed) return [state("live", "Working"), ` ${work}`, owed];
  if (dead === null) return [state("live", "Idle"), ` ${work}`];
  return [state("live", "All done"), " Nothing is under way and nothing waits."];
}

function tilesOf(now, states) {
  const of = (name) => (each) => each.mutations?.[name];
  const behind = (each) => each.lag?.reduce((sum, one) => sum + one.lag, 0);
  const tile = (name, figure, means, where = "lag") => h("a", { class: "tile", href: "#/" + where },
    h("span", { class: "tile-name" }, name), h("span", { class: "tile-figure" }, figure(now) === undefined ? "?" : count(figure(now))),
    curve(states.map(figure).filter((value) => value !== undefined)), h("span", { class: "tile-means" }, means));
  return [
    tile("Open", of("open"), "accepted, not ended yet"),
    tile("Parked", of("parked"), "of these, wait for an earlier one of their record"),
    tile("Owed", of("owed"), "ended, the notifier does not know yet"),
    tile("Callbacks", (each) => each.callbacks?.open, "not delivered yet, or to be tried again", TRIED),
    tile("Lag", behind, "events on Kafka, not worked off"),
  ];
}

/** The last two minutes of a figure. */
function curve(values) {
  const most = Math.max(...values, 1), step = 100 / Math.max(values.length - 1, 1);
  const points = values.map((value, n) => `${(n * step).toFixed(1)},${(22 - (value / most) * 20).toFixed(1)}`).join(" ");
  return svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", class: "curve", "aria-hidden": "true" }, svg("polyline", { points: values.length > 1 ? points : "0,22 100,22" }));
}

async function latest(context) {
  const since = new Date(Date.now() - 24 * HOUR).toISOString();
  const list = (chosen) => ["live", "sandbox"].map((environment) => context.call("GET", `admin/deliveries?${new URLSearchParams({ environment, ...chosen })}`));
  const letters = context.call("GET", "admin/dead-letters").then(({ topics }) => topics, (error) => error);
  // A callback is tried for days before it has failed: those that were tried in vain are told from the first time on.
  const lists = await Promise.all([...list({ state: "failed", since, limit: 8 }), ...list({ state: "open", limit: LISTED })]);
  const topics = await letters; // without Kafka the callbacks can be told all the same
  if (topics instanceof Error) context.signal.throwIfAborted();
  const failed = lists.flatMap((each) => each.deliveries).filter((each) => each.state === "failed" || each.attempts.length).sort((a, b) => (lastAt(a) < lastAt(b) ? 1 : -1));
  const known = !(topics instanceof Error);
  const dead = known ? topics.filter((each) => each.total) : [];
  const told = { dead: known ? dead.reduce((sum, each) => sum + each.total, 0) : null };
  if (known && !failed.length && !dead.length) return { ...told, shown: nothing("Nothing failed in the last 24 hours.", "To learn about a single file or mutation, press / and paste any of its ids.") };
  return { ...told, shown: [
    failed.length ? deliveryTable(failed.slice(0, 8), context) : nothing("No callback failed in the last 24 hours.", ""),
    !known && h("p", { class: "note" }, "Dead letters cannot be read now. ", plain(topics.title ?? topics)),
    dead.length ? h("p", { class: "note" }, dead.map((each, n) => [n ? ", " : "", link(path("dead-letters", each.topic), `${counted(each.total, "dead letter")} on ${plain(each.topic)}`)]), ": records that no service could work with.") : null,
  ] };
}

const lastAt = (of) => of.attempts.at(-1)?.at ?? of.endedAt ?? "";

export async function deliveries(view, _, context) {
  const chosen = { environment: "live", tenant: "", state: "failed", window: "24h", ...Object.fromEntries(context.query) };
  const names = (await context.call("GET", "admin/tenants")).map((each) => each.name);
  const reload = () => listed(results, chosen, context, reload);
  const results = h("div", {}, h("p", { class: "loading", role: "status" }, "Loading"));
  const choose = (name, label, options) => h("label", {}, label, h("select", { name, onchange: (event) => {
    location.replace("#/deliveries?" + new URLSearchParams({ ...chosen, [name]: event.target.value }));
  } }, options.map(([value, text]) => h("option", { value, selected: chosen[name] === value }, text))));
  fill(view, title("Deliveries"),
    h("div", { class: "filters" },
      choose("state", "State", [["failed", "Failed"], ["open", "Open"], ["delivered", "Delivered"]]),
      choose("window", "From", Object.entries(WINDOWS).map(([value, [words]]) => [value, words])),
      choose("tenant", "Tenant", [["", "All tenants"], ...names.map((each) => [each, each])]),
      choose("environment", "Environment", [["live", "Live"], ["sandbox", "Sandbox"]])),
    results);
  await reload();
}

async function listed(results, chosen, context, again) {
  const [words, ms] = WINDOWS[chosen.window] ?? WINDOWS["24h"];
  const frame = { environment: chosen.environment, ...(chosen.tenant ? { tenant: chosen.tenant } : {}), state: chosen.state, since: new Date(Date.now() - ms).toISOString(), until: new Date().toISOString() };
  let list;
  try {
    list = (await context.call("GET", "admin/deliveries?" + new URLSearchParams({ ...frame, limit: LISTED }))).deliveries;
  } catch (error) {
    if (context.signal.aborted) return;
    return fill(results, trouble(error, again)); // the choices stay, and may mend it
  }
  fill(results,
    list.length ? null : nothing(`No ${chosen.state} deliveries in ${words}.`, "Choose another state, tenant or time above."),
    list.length ? deliveryTable(list.map((each) => ({ environment: chosen.environment, ...each })), context) : null,
    list.length >= LISTED ? h("p", { class: "soft" }, `The first ${LISTED} are listed; choose a tenant or a shorter time for others.`) : null,
    chosen.state === "failed" && list.length ? h("div", { class: "after" }, resendAll(frame, words, context, list)) : null);
  say(counted(list.length, "delivery", "deliveries"));
}

const resendAll = (frame, words, context, list) => (list.length < LISTED && !list.some(resendable) ? h("p", { class: "soft" }, "None of them can be sent again: a receiver that has said 410 wants no more.") : doing(`Resend all failed of ${words}…`, async () => {
  const ask = (dryRun) => context.call("POST", "admin/deliveries/resend", { body: { ...frame, dryRun } });
  const { count: found } = await ask(true);
  if (!found) return void (await confirm("Nothing to resend", { no: "Close" }, h("p", {}, "No failed delivery of this window has anything left to send.")));
  const what = counted(found, "callback");
  const agreed = await confirm(`Send ${what} again?`, { yes: `Send ${what} again` },
    h("p", {}, "To the receivers of ", h("strong", {}, frame.tenant ? foreign(frame.tenant) : "all tenants"), ` (${frame.environment}), each under the webhook id that it had.`),
    found >= RESENT_AT_ONCE && h("p", {}, "These are as many as go at once, the oldest first: there may be more. Repeat it for them."));
  if (!agreed) return;
  const done = await ask(false);
  say(`${counted(done.count, "callback")} sent again.`);
  context.again();
}, { class: "primary" }));

const deliveryTable = (list, context) => table("Deliveries", [
  ["Receiver", (of) => h("a", { href: mutationPath({ ...of, mutationId: of.mutationId ?? of.webhookId }), "data-row": true, class: "row" }, foreign(of.receiver ?? "unknown"))],
  ["State", (of) => state(of.state)],
  ["Tenant", (of) => [foreign(of.tenant ?? "–"), of.environment === "sandbox" ? h("span", { class: "tag" }, "sandbox") : null]],
  ["Last answer", (of) => lastAnswer(of.attempts?.at(-1)), "wide"],
  ["Attempts", (of) => count(of.attempts?.length), "number"],
  ["When", (of) => time(of.endedAt ?? of.attempts?.at(-1)?.at ?? of.nextAttemptAt), "number"],
  ["", (of) => (resendable(of) ? resend(of.environment, [of.webhookId], context.again) : " "), "action"],
], list);

const lastAnswer = (last) => (last ? h("span", {}, last.status ? `HTTP ${last.status}` : "No answer", last.error && h("span", { class: "soft" }, ", ", plain(ERRORS[last.error] ?? last.meaning ?? spaced(last.error)))) : "not tried yet");

export async function deadLetters(view, _, context) {
  const lists = h("div", { class: "view" }, h("p", { class: "loading", role: "status" }, "Loading"));
  fill(view, title("Dead letters", h("p", { class: "soft" }, "Records that no service could work with, as they came. Mend the cause, then replay them: they go back unchanged.")), lists);
  const load = async () => {
    let topics;
    try {
      ({ topics } = await context.call("GET", "admin/dead-letters"));
    } catch (error) {
      if (!context.signal.aborted) fill(lists, trouble(error, context.again));
      return;
    }
    tellTopics(lists, topics.filter((each) => each.total), context, load);
  };
  await load();
}

function tellTopics(lists, full, context, load) {
  refill(lists,
    full.length ? full.map((topic) => section(topic.topic, groups(topic, context, load), topic.read < topic.total && h("p", { class: "note" }, `Of ${count(topic.total)} letters ${count(topic.read)} were looked at, the newest ones.`))) : nothing("There are none.", "A record ends here when it can't be read, or was tried three times in vain."));
}

const groups = ({ topic, groups: list }, context, load) => table(`Dead letters of ${topic} by reason`, [
  ["Reason", (of) => h("a", { href: `${path("dead-letters", topic)}?${new URLSearchParams({ reason: of.reason })}`, "data-row": true, "data-id": `${topic} ${of.reason}`, class: "row" }, foreign(of.reason)), "wide"],
  ["Count", (of) => count(of.count), "number"],
  ["Oldest", (of) => time(of.oldest), "number"],
  ["Newest", (of) => time(of.newest), "number"],
  ["", (of) => replay(topic, { reason: of.reason }, "Replay…", context, load), "action"],
], list);

export async function letters(view, { topic }, context) {
  const reason = context.query.get("reason");
  const query = new URLSearchParams({ ...(reason ? { reason } : {}), limit: LISTED });
  const load = async () => tellLetters(view, topic, reason, (await context.call("GET", `admin/dead-letters/${encodeURIComponent(topic)}?${query}`)).letters, context, load);
  await load();
}

function tellLetters(view, topic, reason, list, context, load) {
  refill(view,
    title("Dead letters", h("p", { class: "soft" }, code(topic), reason && [": ", foreign(reason)])),
    list.length ? h("div", { class: "before" }, replay(topic, reason ? { reason } : {}, reason ? "Replay all of this reason…" : "Replay all…", context, load)) : nothing("There are none.", "Their topic has let them go."),
    h("ul", { class: "files" }, list.map((letter) => h("li", { class: "file" },
      h("div", { class: "file-head" }, h("strong", { class: "name" }, foreign(letter.reason)), h("span", { class: "push" }, replay(topic, { offsets: [[letter.partition, letter.offset]] }, "Replay…", context, load))),
      facts(["When", time(letter.at)], ["From", code(letter.sourceTopic ?? "–")], ["Place", `partition ${letter.partition}, offset ${count(letter.offset)}`], letter.tries ? ["Tries", count(letter.tries)] : null, letter.key && ["Key", code(letter.key)]),
      h("details", { "data-id": place(letter) }, h("summary", { "data-row": true, "data-id": `holds ${place(letter)}` }, "What it holds"), h("pre", {}, plain(letter.excerpt ?? "")))))));
  say(counted(list.length, "dead letter"));
}

const place = (letter) => `${letter.partition}:${letter.offset}`;

/** Replay, after a dry run has said how many go where. */
const replay = (topic, which, words, context, load) => doing(words, async () => {
  const ask = async (dryRun) => {
    for (let all = 0, parts; ; ) {
      const said = await context.call("POST", `admin/dead-letters/${encodeURIComponent(topic)}/replay`, { body: { ...which, parts, dryRun }, seconds: PATIENT_SECONDS });
      all += said.count;
      if (said.complete || String(said.next) === String(parts)) return { ...said, count: all };
      parts = said.next; // each answer goes on where the one before has stopped, as long as it gets on
      say(`${counted(all, "record")} so far.`);
    }
  };
  const { count: found, target, complete } = await ask(true);
  const what = counted(found, "record");
  if (!found) return void (await confirm("Nothing to replay", { no: "Close" }, h("p", {}, complete ? "Their topic has let them go." : "Kafka gave none of them in time: try again.")));
  const agreed = await confirm(`Replay ${what}?`, { yes: `Replay ${what}` }, h("p", {}, "Their bytes go unchanged to ", code(target ?? "the topic they came from"), ". The letters stay here; what fails again becomes another one. Letters of one record count once."),
    !complete && h("p", {}, "Not all letters were looked at: Kafka gave no more of them."));
  if (!agreed) return;
  const done = await ask(false);
  say(`${counted(done.count, "record")} replayed.`);
  if (!done.complete) await confirm("Not all letters were looked at", { no: "Close" }, h("p", {}, `${counted(done.count, "record")} went to `, code(done.target), `. Kafka gave none from ${done.next.map(([partition, offset]) => `${partition}:${offset}`).join(", ")} on: replay again when it does.`));
  await load();
  for (const ms of AGAIN_MS) {
    const later = setTimeout(() => load().catch(() => {}), ms); // what can't be shown then is shown as it was
    context.signal.addEventListener("abort", () => clearTimeout(later));
  }
}, { "data-id": `replay ${topic} ${JSON.stringify(which)}` });

export async function lag(view, _, context) {
  const body = h("div", { class: "view" });
  fill(view, title("Lag", h("p", { class: "soft" }, "How far each service is behind on its topic, counted from what it has committed.")), body);
  const draw = (now) => {
    if (body.contains(document.activeElement) && document.activeElement.matches("[data-row]")) return; // nobody loses their place
    fill(body, section("Services", now.lag ? services(now.lag) : nothing("Kafka cannot be asked.", "The figures come by themselves once it answers.")),
      section("Oldest mutations under way", now.oldest ? oldestTable(now) : nothing("MongoDB cannot be asked.", "They are listed once it answers.")),
      section("Parked mutations", now.parked ? parkedTable(now) : nothing("MongoDB cannot be asked.", "They are listed once it answers.")), h("p", { class: "soft" }, "As of ", time(now.at), "."));
  };
  context.onState(draw);
  draw(context.live.states.at(-1) ?? (await context.call("GET", "admin/state")));
}

function services(partitions) {
  const sums = new Map();
  for (const each of partitions) {
    const name = `${each.group} ${each.topic}`;
    const sum = sums.get(name) ?? { group: each.group, topic: each.topic, lag: 0, age: null, behind: [], partitions: 0 };
    sum.lag += each.lag;
    sum.partitions += 1;
    if (each.lag && each.ageSeconds !== null) sum.age = Math.max(sum.age ?? 0, each.ageSeconds);
    if (each.lag) sum.behind.push(each);
    sums.set(name, sum);
  }
  if (!sums.size) return nothing("No figures.", "Kafka does not answer, or no service has committed anything yet; they come by themselves.");
  return table("Lag by service", [
    ["Service", (of) => h("strong", {}, plain(of.group))],
    ["Topic", (of) => code(of.topic), "wide"],
    ["Events behind", (of) => count(of.lag), "number"],
    ["Oldest waits", (of) => (of.lag && of.age !== null ? lasted(of.age * 1000) : "–"), "number"],
    ["Partitions behind", (of) => (of.behind.length ? h("span", { title: of.behind.map((each) => `${each.partition}: ${count(each.lag)} behind, at ${count(each.committed)} of ${count(each.end)}`).join("\n") }, `${of.behind.length} of ${of.partitions}`) : `none of ${of.partitions}`), "number"],
    ["State", (of) => (of.lag && of.age > LATE_SECONDS ? state("failed", "Behind") : of.lag ? state("live", "Working") : state("live", "Up to date"))],
  ], [...sums.values()]);
}

const LANES = { waiting: "waits to be published", working: "in the pipeline" };

function oldestTable({ oldest }) {
  if (!oldest.length) return nothing("None.", "What is accepted and not parked is listed here, the oldest first.");
  return table("Oldest mutations under way", [
    ["Mutation", (of) => h("a", { href: mutationPath(of), "data-row": true, class: "row" }, short(of.mutationId))],
    ["Tenant", (of) => [foreign(of.tenant), of.environment === "sandbox" ? h("span", { class: "tag" }, "sandbox") : null]],
    ["Where", (of) => LANES[of.lane] ?? spaced(of.lane), "wide"],
    ["For", (of) => (of.since ? lasted(Math.max(Date.now() - Date.parse(of.since), 0)) : "–"), "number"],
  ], oldest);
}

function parkedTable({ parked, mutations }) {
  if (!parked.length) return nothing("None.", "Mutations are parked while an earlier one of the same record has not ended; they go on by themselves.");
  return [
    table("Parked mutations", [
      ["Mutation", (of) => h("a", { href: mutationPath(of), "data-row": true, class: "row" }, short(of.mutationId))],
      ["Tenant", (of) => [foreign(of.tenant), of.environment === "sandbox" ? h("span", { class: "tag" }, "sandbox") : null]],
      ["Why", (of) => plain(of.why ?? "an earlier one of its record has not ended"), "wide"],
      ["For", (of) => (of.since ? lasted(Date.now() - Date.parse(of.since)) : "–"), "number"],
    ], parked),
    mutations?.parked > parked.length ? h("p", { class: "soft" }, `${count(parked.length)} of ${count(mutations.parked)} are listed.`) : null,
  ];
}
