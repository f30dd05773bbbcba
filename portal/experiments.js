// The experiments of the operations view, newest first: their arms, lifts and alarms, and the commands that come next.

import { element } from "./card.js";
import { readExperimentResults, readExperiments } from "./client.js";
import { formatDuration, formatShare } from "./format.js";
import { liftLists, metricLabel } from "./lifts.js";
import { shadowTables } from "./shadows.js";

const $ = (id) => document.getElementById(id);
const MAX_EXPERIMENTS = 20;
const MAX_ARMS = 10;
const READ_MS = { running: 10_000, other: 60_000 }; // the archive role computes results every 20 s, of running ones
const OLD_S = 300;
const COLOURS = { running: "var(--part-9)", paused: "var(--part-6)", draft: "var(--part-8)", completed: "var(--part-5)" };
const EXAMPLE = `cat > surprise.json <<'JSON'
{"experiment_id": "surprise", "name": "More surprises", "metric": "click_through_rate", "arms": [
  {"name": "as it is"},
  {"name": "surprising", "parameters": {"SERENDIPITY_WEIGHT": 1}}
]}
JSON
millrace experiments create surprise.json --start`;
const panels = new Map();

// Read the experiments and draw what is new. A panel stays open or closed, and keeps the focus, while its figures change.
export async function drawExperiments() {
  let experiments;
  try {
    ({ experiments } = await readExperiments(MAX_EXPERIMENTS + 1));
  } catch (error) {
    const isRefused = [401, 403].includes(error.status);
    if (isRefused) panels.clear();
    place([element("p", "quiet", isRefused ? "Not accessible: sign in with a token of the scope service." : "Not accessible.")]);
    return;
  }
  const recent = experiments.slice(0, MAX_EXPERIMENTS);
  const ids = new Set(recent.map(({ experiment_id: id }) => id));
  for (const id of panels.keys()) if (!ids.has(id)) panels.delete(id);
  const shown = await Promise.all(
    recent.map(async (experiment) => {
      const panel = panels.get(experiment.experiment_id) ?? new ExperimentPanel(experiment);
      panels.set(experiment.experiment_id, panel);
      await panel.update(experiment);
      return panel.node;
    }),
  );
  if (experiments.length > recent.length) shown.push(moreNote);
  place(shown.length ? shown : [emptyState]);
}

const moreNote = element("p", "quiet", `The ${MAX_EXPERIMENTS} that changed last; millrace experiments lists all.`);

const emptyState = element("div", "panel");
emptyState.append(
  element("p", "", "No experiments yet. An experiment ranks some users by other settings, and shows what that changes. Create one:"),
  element("pre", "command", EXAMPLE),
);

function place(nodes) {
  const present = [...$("experiments").childNodes];
  if (present.length === nodes.length && present.every((node, index) => node === nodes[index])) return;
  $("experiments").replaceChildren(...nodes);
}

class ExperimentPanel {
  constructor({ status }) {
    this.node = element("details", "panel experiment");
    this.node.open = status === "running" || status === "paused";
    this.summary = element("summary");
    this.body = element("div", "experiment-body");
    this.age = element("span", "quiet experiment-age");
    this.node.append(this.summary, this.body);
    this.results = null;
    this.readAt = -Infinity;
    this.version = null;
    this.text = "";
  }

  async update(experiment) {
    await this.read(experiment);
    const text = JSON.stringify([experiment, this.results]);
    if (text !== this.text) {
      this.text = text;
      this.summary.replaceChildren(...summaryOf(experiment, this.results), this.age);
      this.body.replaceChildren(...bodyOf(experiment, this.results));
    }
    const seconds = this.results ? (Date.now() - this.results.computed_at) / 1_000 : 0;
    const isOld = experiment.status === "running" && seconds > OLD_S;
    this.age.classList.toggle("old", isOld);
    this.age.textContent = this.results ? `Figures of ${formatDuration(seconds)} ago${isOld ? ": is an archive role up?" : ""}` : "";
  }

  async read({ experiment_id: id, status, occurred_at: version }) {
    const now = performance.now();
    if (status === "draft" || (version === this.version && now - this.readAt < (READ_MS[status] ?? READ_MS.other))) return;
    this.readAt = now;
    this.version = version;
    try {
      this.results = await readExperimentResults(id);
    } catch (error) {
      if (error.status === 404) this.results = null; // other errors: the age of the last figures tells
    }
  }
}

function chip(text, colour) {
  const node = element("span", "chip", text);
  node.style.setProperty("--part", colour);
  return node;
}

function summaryOf(experiment, results) {
  const parts = [element("h3", "", experiment.name || experiment.experiment_id), chip(experiment.status, COLOURS[experiment.status] ?? "var(--soft)")];
  if (experiment.is_shadow) parts.push(chip("shadow", "var(--part-8)"));
  if (experiment.winner) parts.push(chip(`promoted: ${experiment.winner}`, "var(--part-5)"));
  if (results?.has_sample_ratio_mismatch) parts.push(element("span", "breach", "sample ratio mismatch"));
  if (results?.arms.some(({ breaches }) => breaches.length)) parts.push(element("span", "breach", "guardrail breached"));
  const count = pausesOf(experiment).length;
  if (count) parts.push(element("span", "breach", count === 1 ? "arm paused" : `${count} arms paused`));
  return parts;
}

function bodyOf(experiment, results) {
  const tables = experiment.is_shadow ? shadowTables(experiment.arms.slice(0, MAX_ARMS), results) : [armTable(experiment, results)];
  const parts = [element("p", "quiet", factsOf(experiment, results).join(" · ")), ...alarmsOf(experiment, results), ...tables];
  if (experiment.description) parts.unshift(element("p", "", experiment.description));
  if (experiment.arms.length > MAX_ARMS) parts.push(element("p", "quiet", `${experiment.arms.length - MAX_ARMS} more arms: millrace experiments results ${quoted(experiment.experiment_id)}`));
  if (experiment.is_shadow && results) return [...parts, ...commandsOf(experiment)];
  if (results) parts.push(...liftLists(results, results.arms.slice(0, MAX_ARMS), experiment.metric));
  else if (experiment.status !== "draft") parts.push(element("p", "quiet", `No figures yet. They follow the first ${experiment.is_shadow ? "comparisons" : "outcomes"} while an archive role runs.`));
  return [...parts, ...commandsOf(experiment)];
}

function factsOf(experiment, results) {
  const { experiment_id: id, metric, traffic_from: from, traffic_to: to, layer, targeting, ends_at: endsAt } = experiment;
  const facts = [id];
  if (metric) facts.push(`metric: ${metricLabel(metric)}`);
  if (results) facts.push(`figures since ${formatTime(results.since)}`);
  if (endsAt !== null) facts.push(`until ${formatTime(endsAt)}`);
  if (to - from < 1) facts.push(`${formatShare(to - from)} of ${layer ? `the layer ${layer}` : "users"}`);
  facts.push(...Object.entries(targeting).map(([attribute, values]) => `${attribute}: ${values.join(", ")}`));
  if (results?.users_of_several_arms) facts.push(`${results.users_of_several_arms.toLocaleString("en")} users of several arms count in none`);
  return facts;
}

const formatMoment = (ms) => new Date(ms).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });
const formatTime = (ms) => new Date(ms).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

// Return the pauses that last, by arm.
function pausesOf({ status, arms }) {
  if (status !== "running" && status !== "paused") return [];
  return arms.map(({ name, pauses }) => [name, pauses.at(-1)]).filter(([, pause]) => pause && pause.resumed_at === null);
}

function alarmsOf(experiment, results) {
  const alarms = pausesOf(experiment).map(([name, { paused_at: at, reason }]) => `${name} is paused since ${formatMoment(at)}${reason ? `: ${reason}` : ""}. The first arm ranks its users.`);
  if (results?.has_sample_ratio_mismatch) {
    alarms.push(`Sample ratio mismatch: the users are not divided as the shares say (p = ${results.sample_ratio_p.toPrecision(2)}). Trust none of these figures.`);
  }
  for (const { name, breaches } of results?.arms ?? []) {
    if (breaches.length) alarms.push(`Guardrail breached by ${name}: ${breaches.map(metricLabel).join(", ")}.`);
  }
  return alarms.map((text) => element("p", "banner", text));
}

function armTable({ arms, winner }, results) {
  const table = element("table", "arms");
  const head = table.createTHead().insertRow();
  head.append(...["Arm", "Share", "Users", "Impressions"].map((text) => element("th", "", text)));
  for (const cell of head.cells) cell.scope = "col";
  const figures = new Map((results?.arms ?? []).map((arm) => [arm.name, arm]));
  const all = (results?.arms ?? []).reduce((sum, { users }) => sum + users, 0);
  const body = table.createTBody();
  for (const [index, { name, share, parameters }] of arms.slice(0, MAX_ARMS).entries()) {
    const arm = figures.get(name);
    const row = body.insertRow();
    const title = element("th", "", name);
    title.scope = "row";
    const notes = [index ? "" : "control", name === winner ? "default for all users" : "", ...Object.entries(parameters).map((pair) => pair.join("=")).sort()];
    title.append(element("span", "quiet", notes.filter(Boolean).join(" · ")));
    const users = element("td", "", arm ? arm.users.toLocaleString("en") : "–");
    if (arm && all) users.append(element("span", "quiet", formatShare(arm.users / all)));
    row.append(title, element("td", "", formatShare(share)), users, element("td", "", impressionsOf(arm)));
  }
  return table;
}

// The metric is items shown by user, so that its product with the users is the number of items.
function impressionsOf(arm) {
  const shown = arm?.metrics.items_shown?.value;
  return typeof shown === "number" ? Math.round(shown * arm.users).toLocaleString("en") : arm ? "0" : "–";
}

// The page changes nothing: it shows the commands that the status allows.
function commandsOf({ experiment_id: id, status, arms, winner, is_shadow: isShadow }) {
  const arm = arms.length === 2 ? quoted(arms[1].name) : "ARM";
  const resumptions = pausesOf({ status, arms }).map(([name]) => `start ${quoted(id)} --arm ${quoted(name)}`);
  const verbs = ({ draft: ["start"], running: ["pause", "complete", "promote"], paused: ["start", "complete", "promote"], completed: [winner ? "rollback" : "promote"] }[status] ?? []).filter((verb) => !isShadow || verb !== "promote");
  const commands = element("p", "commands");
  const texts = verbs.map((verb) => `${verb} ${quoted(id)}${verb === "promote" ? ` ${arm}` : ""}`);
  if (status === "paused" && resumptions.length === arms.length - 1) texts.shift(); // it starts with an arm
  commands.append(...[...resumptions, ...texts].map((text) => element("code", "command", `millrace experiments ${text}`)));
  return verbs.length ? [commands] : [];
}

// Return a word as a shell reads it.
const quoted = (word) => (/^[\w.@:/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
