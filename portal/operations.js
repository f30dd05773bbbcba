// The operations view: system health, experiments, and the path of a user's events to their feed. It polls every two seconds.

import { element, groupColour, groupLabel } from "./card.js";
import { bar, chart } from "./chart.js";
import { readModelStatus, readFeed, readHealth, readHistory, readMetrics, readProfile } from "./client.js";
import { drawExperiments } from "./experiments.js";
import { formatDollars, formatDuration, formatShare } from "./format.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 2_000;
const SLOTS = 60;
const MAX_SHOWN = 6;
const MAX_LABELS = 3;
const DIMENSIONS = [["place", "Place"], ["source", "Source:"], ["arm", "Arm"], ["model", "Model"], ["category", "Category:"]];
const series = { rate: [], waiting: [], age: [], spent: [] };
let timer = 0;
let user = null;
let before = null;

export function visit(_, userId) {
  user = userId;
  document.title = "Operations · Millrace";
  $("flow-heading").textContent = `From event to feed: ${userId}`;
  poll();
}

async function poll() {
  clearTimeout(timer);
  if ($("view-operations").hidden) return;
  if (document.visibilityState === "visible") await Promise.all([drawMetrics(), drawHealth(), drawModelStatus(), drawExperiments(), drawFlow(user)]);
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_MS);
}

async function drawMetrics() {
  const metrics = await readMetrics().catch(() => null);
  const at = performance.now();
  const events = metrics?.sum("millrace_api_events_published_total") ?? (metrics ? 0 : null);
  record("rate", before && events !== null ? Math.max(0, (1_000 * (events - before.events)) / (at - before.at)) : null);
  record("waiting", metrics?.sum("millrace_role", ({ what }) => what === "waiting") ?? null);
  record("age", metrics?.quantile("millrace_feed_age_at_read_seconds", 0.5) ?? null);
  record("spent", metrics?.sum("millrace_role", ({ what }) => what.endsWith("spent_usd")) ?? null);
  const questions = metrics?.sum("millrace_role", ({ what }) => what.split(".").at(-2) === "questions") ?? 0;
  before = events === null ? null : { events, at };
    $("charts").replaceChildren(
    chart({ title: "Events a second", note: "published by this API", values: series.rate, slots: SLOTS, show: (value) => value.toFixed(1) }),
    chart({ title: "Lag", note: "records waiting for all roles", values: series.waiting, slots: SLOTS, show: (value) => value.toLocaleString() }),
    chart({ title: "Freshness", note: "median age of the feeds that were read", values: series.age, slots: SLOTS, show: formatDuration }),
    chart({ title: "Language model", note: `spent on ${questions.toLocaleString()} questions since the roles started`, values: series.spent, slots: SLOTS, show: formatDollars }),
  );
}

function record(name, value) {
  series[name].push(value);
  if (series[name].length > SLOTS) series[name].shift();
}

async function drawHealth() {
  const health = await readHealth().catch(() => null);
  $("health").dataset.state = health?.status === "ok" ? "live" : "lost";
  const [problem] = health?.pipeline?.problems ?? [];
  const words = { ok: "All servers respond", degraded: problem ?? "Feeds can be read", down: "Feeds cannot be read" };
  $("health-text").textContent = health ? words[health.status] : "No response";
  const roles = Object.entries(health?.pipeline?.roles ?? {}).filter(([, { state }]) => state !== "up");
  $("servers").replaceChildren(
    ...Object.entries(health?.dependencies ?? {}).map(([name, { status, latency_ms: latencyMs }]) => pair(name, status === "ok" ? `${latencyMs.toFixed(0)} ms` : "no response")),
    ...roles.map(([name, { state }]) => pair(name, state.replace("_", " "))),
  );
}

async function drawModelStatus() {
  const modelStatus = await readModelStatus().catch(() => null);
  const rows = modelStatus?.serving
    ? [["In service", modelStatus.serving], ["Fitted", `${formatDuration(modelStatus.age_s)} ago`], ...Object.entries(modelStatus.metrics).slice(0, 4).map(([name, value]) => [name, value.toFixed(3)])]
    : [["In service", modelStatus ? "no version yet" : "not accessible"]];
  $("model-status").replaceChildren(...rows.map(([name, value]) => pair(name, value)));
  drawClickRates(modelStatus?.served);
}

// The rates of the last hour and day, and the labels of the last day with the most impressions.
function drawClickRates(served) {
  const rate = ({ impressions, click_through_rate: share }) => [share === null ? "–" : formatShare(share), `${impressions.toLocaleString()} shown`];
  const lines = served ? [pair("Last hour", ...rate(served.last_hour)), pair("Last day", ...rate(served.last_day))] : [];
  for (const [dimension, title] of DIMENSIONS) {
    const labels = (served?.last_day.click_through_rates[dimension] ?? []).filter(({ label }) => label !== "").slice(0, MAX_LABELS);
    lines.push(...labels.map((one) => pair(`${title} ${nameOf(dimension, one.label)}`, ...rate(one))));
  }
  fill("click-rates", lines, "Not accessible.");
}

const nameOf = (dimension, label) => (dimension === "source" ? groupLabel(label) : dimension === "place" && /^[0-9]+$/.test(label) ? Number(label) + 1 : label);

async function drawFlow(userId) {
  const onError = () => null;
  const [history, profile, feed] = await Promise.all([readHistory(userId).catch(onError), readProfile(userId).catch(onError), readFeed(userId).catch(onError)]);
  if (userId !== user) return;
  const events = (history?.interactions ?? []).slice(0, MAX_SHOWN);
  fill("flow-events", events.map((event) => pair(event.action, event.item_id ?? event.query ?? "", `${formatDuration((Date.now() - event.occurred_at) / 1_000)} ago`)), "No events in the last day.");
  const affinities = Object.entries({ ...profile?.preferences.topics, ...profile?.preferences.categories }).sort(([, left], [, right]) => right - left);
  fill("flow-features", affinities.slice(0, MAX_SHOWN).map(([name, share]) => bar(name, share, share.toFixed(2), "var(--part-0)")), "No features yet.");
  const top = (feed?.items ?? []).slice(0, MAX_SHOWN);
  fill("flow-feed", top.map((entry) => bar(entry.item?.title ?? entry.item_id, entry.score / top[0].score, entry.score.toFixed(3), groupColour(entry.source))), "No feed yet.");
  drawMix(feed?.items ?? []);
}

function drawMix(entries) {
  const counts = new Map();
  for (const { source: group } of entries) counts.set(group, (counts.get(group) ?? 0) + 1);
  const sorted = [...counts].sort(([, left], [, right]) => right - left);
  fill("mix", sorted.map(([group, count]) => bar(groupLabel(group), count / entries.length, `${Math.round((100 * count) / entries.length)} %`, groupColour(group))), "No feed yet.");
}

function fill(id, lines, emptyText) {
  $(id).replaceChildren(...(lines.length ? lines : [element("li", "quiet", emptyText)]));
}

function pair(name, value, age = "") {
  const line = element("li", "pair");
  line.append(element("span", "quiet", name), element("span", "what", value), element("span", "quiet", age));
  return line;
}
