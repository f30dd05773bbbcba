// The operations view: system health, and the path of a user's events to their feed. It polls every two seconds.

import { element, partColour, partLabel } from "./card.js";
import { bar, chart } from "./chart.js";
import { readBoard, readFeed, readHealth, readHistory, readMeters, readProfile } from "./client.js";

const $ = (id) => document.getElementById(id);
const LOOK_MS = 2_000;
const ROOM = 60;
const MOST_SHOWN = 6;
const past = { rate: [], waiting: [], age: [], spent: [] };
let timer = 0;
let user = null;
let before = null;

export function visit(_, userId) {
  user = userId;
  document.title = "Operations · Millrace";
  $("flow-heading").textContent = `From event to feed: ${userId}`;
  look();
}

async function look() {
  clearTimeout(timer);
  if ($("view-operations").hidden) return;
  if (document.visibilityState === "visible") await Promise.all([drawMeters(), drawHealth(), drawBoard(), drawFlow(user)]);
  clearTimeout(timer);
  timer = setTimeout(look, LOOK_MS);
}

async function drawMeters() {
  const meters = await readMeters().catch(() => null);
  const at = performance.now();
  const events = meters?.sum("millrace_api_events_published_total") ?? (meters ? 0 : null);
  keep("rate", before && events !== null ? Math.max(0, (1_000 * (events - before.events)) / (at - before.at)) : null);
  keep("waiting", meters?.sum("millrace_role", ({ what }) => what === "waiting") ?? null);
  keep("age", meters?.quantile("millrace_feed_age_at_read_seconds", 0.5) ?? null);
  keep("spent", meters?.sum("millrace_role", ({ what }) => what.endsWith("spent_usd")) ?? null);
  const asked = meters?.sum("millrace_role", ({ what }) => what.split(".").at(-2) === "questions") ?? 0;
  before = events === null ? null : { events, at };
  const room = ROOM;
  $("charts").replaceChildren(
    chart({ title: "Events a second", note: "taken by this API", values: past.rate, room, show: (value) => value.toFixed(1) }),
    chart({ title: "Lag", note: "what waits for all roles", values: past.waiting, room, show: (value) => value.toLocaleString() }),
    chart({ title: "Freshness", note: "half of all feeds read were younger", values: past.age, room, show: span }),
    chart({ title: "Language model", note: `spent on ${asked.toLocaleString()} questions since the roles began`, values: past.spent, room, show: dollars }),
  );
}

function keep(name, value) {
  past[name].push(value);
  if (past[name].length > ROOM) past[name].shift();
}

function dollars(value) {
  return value.toLocaleString("en", { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 4 });
}

function span(seconds) {
  if (seconds === Infinity) return "over a week";
  if (seconds < 1) return `${Math.round(1_000 * seconds)} ms`;
  return seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

async function drawHealth() {
  const health = await readHealth().catch(() => null);
  $("health").dataset.state = health?.status === "ok" ? "live" : "lost";
  const [problem] = health?.pipeline?.problems ?? [];
  const words = { ok: "All is well", degraded: problem ?? "Feeds can be read", down: "Feeds cannot be read" };
  $("health-text").textContent = health ? words[health.status] : "No answer";
  const roles = Object.entries(health?.pipeline?.roles ?? {}).filter(([, { state }]) => state !== "up");
  $("servers").replaceChildren(
    ...Object.entries(health?.dependencies ?? {}).map(([name, { status, latency_ms: took }]) => pair(name, status === "ok" ? `${took.toFixed(0)} ms` : "does not answer")),
    ...roles.map(([name, { state }]) => pair(name, state.replace("_", " "))),
  );
}

async function drawBoard() {
  const board = await readBoard().catch(() => null);
  const told = board?.serving
    ? [["In service", board.serving], ["Fitted", `${span(board.age_s)} ago`], ...Object.entries(board.metrics).slice(0, 4).map(([name, value]) => [name, value.toFixed(3)])]
    : [["In service", board ? "nothing fitted yet" : "not told to you"]];
  $("board").replaceChildren(...told.map(([name, value]) => pair(name, value)));
}

async function drawFlow(userId) {
  const nothing = () => null;
  const [history, profile, feed] = await Promise.all([readHistory(userId).catch(nothing), readProfile(userId).catch(nothing), readFeed(userId).catch(nothing)]);
  if (userId !== user) return;
  const events = (history?.interactions ?? []).slice(0, MOST_SHOWN);
  fill("flow-events", events.map((event) => pair(event.action, event.item_id ?? event.query ?? "", `${span((Date.now() - event.occurred_at) / 1_000)} ago`)), "Nothing within a day.");
  const learned = Object.entries({ ...profile?.preferences.topics, ...profile?.preferences.categories }).sort(([, left], [, right]) => right - left);
  fill("flow-features", learned.slice(0, MOST_SHOWN).map(([name, share]) => bar(name, share, share.toFixed(2), "var(--part-0)")), "Nothing is known yet.");
  const top = (feed?.items ?? []).slice(0, MOST_SHOWN);
  fill("flow-feed", top.map((entry) => bar(entry.item?.title ?? entry.item_id, entry.score / top[0].score, entry.score.toFixed(3), partColour(entry.source))), "No feed yet.");
  drawMix(feed?.items ?? []);
}

function drawMix(entries) {
  const counts = new Map();
  for (const { source } of entries) counts.set(source, (counts.get(source) ?? 0) + 1);
  const sorted = [...counts].sort(([, left], [, right]) => right - left);
  fill("mix", sorted.map(([source, count]) => bar(partLabel(source), count / entries.length, `${Math.round((100 * count) / entries.length)} %`, partColour(source))), "No feed yet.");
}

function fill(id, lines, otherwise) {
  $(id).replaceChildren(...(lines.length ? lines : [element("li", "quiet", otherwise)]));
}

function pair(name, value, when = "") {
  const line = element("li", "pair");
  line.append(element("span", "quiet", name), element("span", "what", value), element("span", "quiet", when));
  return line;
}
