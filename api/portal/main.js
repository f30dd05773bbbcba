// The page: one person's feed at a time, read once, followed after that, and acted on.

import { ACTIONS, element, partColour, partLabel, partMeaning } from "./card.js";
import { act, follow, readFeed, readUsers } from "./client.js";
import { FeedList } from "./feed.js";
import { Picker } from "./picker.js";

const $ = (id) => document.getElementById(id);
const LOG_LINES = 8;
const TOAST_MS = 3_500;
const KEYS = { l: "like", s: "save", x: "skip" };
const DONE = { click: "Opened", ...Object.fromEntries(ACTIONS.map((action) => [action.name, action.done])) };

const feedList = new FeedList($("feed"), 72);
let user = null;
let shown = null;
let shownAt = 0;
let subscription = null;
let waiting = null;
let toastTimer = 0;

const picker = new Picker($("user"), $("visitor"), start);

async function begin() {
  const users = await readUsers().catch(() => []);
  picker.offer(Array.isArray(users) ? users : []);
}

async function start(userId) {
  user = userId;
  shown = waiting = null;
  subscription?.close();
  $("heading").textContent = `Feed of ${userId}`;
  document.title = `${userId} · Millrace`;
  showState(null);
  banner("");
  feedList.showLoading();
  scrollTo({ top: 0, behavior: "instant" });
  subscription = follow(userId, { onFeed: (feed) => user === userId && show(feed), onState: connection });
  await load(userId);
}

async function load(userId) {
  try {
    const feed = await readFeed(userId);
    if (user === userId) show(feed);
  } catch (error) {
    if (user !== userId || shown) return;
    if (error.status === 404) show({ items: [] });
    else failed(error);
  }
}

function show(feed) {
  if (shown && !isNewer(feed, shown)) return; // an answer to a read may come after the change that followed it
  const changedAt = performance.now();
  showState(feed.items.length ? null : "empty");
  const changes = feedList.show(feed);
  shown = feed;
  shownAt = changedAt - (feed.age_ms ?? 0);
  banner("");
  freshness(feed);
  legend(feed);
  if (waiting && !changes.first) answered(waiting, changedAt, changes);
  else if (!changes.first && (changes.up || changes.entered)) {
    $("announce").textContent = `Feed updated: ${summary(changes)}.`;
  }
}

// A version is the features' and the time of ranking, joined by a hyphen.
function isNewer(feed, other) {
  const [features, made] = numbers(feed);
  const [otherFeatures, otherMade] = numbers(other);
  return features === otherFeatures ? made > otherMade : features > otherFeatures;
}

const numbers = (feed) => String(feed.version ?? "0-0").split("-").map(Number);

function answered(action, changedAt, changes) {
  const took = Math.round(changedAt - action.at);
  waiting = null;
  action.line.querySelector(".took").textContent = `feed changed after ${took} ms`;
  toast(`Feed changed ${took} ms after your ${action.name}: ${summary(changes)}`);
}

const summary = ({ up, entered }) => [up && `${up} up`, entered && `${entered} new`].filter(Boolean).join(", ") || "same items";

async function send(card, name) {
  const itemId = card.dataset.item;
  const title = card.querySelector(".open").textContent;
  const forUser = user;
  const action = { name, at: performance.now(), line: log(name, title) };
  waiting = action;
  card.classList.add("acted");
  mark(card, name, true);
  try {
    await act(forUser, itemId, name);
  } catch (error) {
    if (waiting === action) waiting = null;
    card.classList.remove("acted");
    mark(card, name, false);
    action.line.querySelector(".took").textContent = "not sent";
    action.line.classList.add("bad");
    toast(`Not sent: ${error.message}`, true);
  }
}

function mark(card, name, on) {
  for (const button of card.querySelectorAll(`.action[data-action="${name}"]`)) {
    const known = ACTIONS.find((action) => action.name === name);
    button.classList.toggle("on", on);
    button.querySelector(".action-label").textContent = on ? known.done : known.label;
  }
}

$("feed").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) send(button.closest(".card"), button.dataset.action);
});

$("feed").addEventListener("keydown", (event) => {
  const card = event.target.closest(".card");
  if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") feedList.step(card, key === "j" ? 1 : -1);
  else if (Object.hasOwn(KEYS, key)) send(card, KEYS[key]);
  else return;
  event.preventDefault();
});

function log(name, title) {
  const line = element("li");
  line.append(element("span", "did", DONE[name] ?? name), element("span", "what", title), element("span", "took", "sent …"));
  $("log").querySelector(".quiet")?.remove();
  $("log").prepend(line);
  while ($("log").children.length > LOG_LINES) $("log").lastElementChild.remove();
  return line;
}

function freshness(feed) {
  const [features, made] = String(feed.version ?? "–").split("-");
  $("version").textContent = made ? `…${features.slice(-6)}` : features;
  $("version").title = String(feed.version ?? "");
  $("model").textContent = feed.model ?? "–";
  $("watermark").textContent = feed.watermark ? when(Date.now() - feed.watermark) : "none yet";
  $("fallback").hidden = !feed.fallback;
  tick();
}

function tick() {
  if (shown?.generated_at) $("age").textContent = when(performance.now() - shownAt);
}
setInterval(tick, 1_000);

function when(ageMs) {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h ago`;
  return `${Math.round(seconds / 86_400).toLocaleString()} days ago`;
}

function legend(feed) {
  const names = [...new Set(feed.items.flatMap((entry) => Object.keys(entry.parts ?? {})))].sort();
  $("legend").replaceChildren(
    ...names.map((name) => {
      const row = element("li", "part");
      row.style.setProperty("--part", partColour(name));
      const words = element("span");
      words.append(element("b", "", partLabel(name)), ` ${partMeaning(name)}`);
      row.append(words);
      return row;
    }),
  );
}

function connection(state) {
  const text = { connecting: "Connecting …", live: "Live", lost: navigator.onLine ? "Reconnecting …" : "Offline" };
  $("connection").dataset.state = state;
  $("connection-text").textContent = text[state];
  if (state === "lost" && shown) banner("The connection is lost. This is the last feed that arrived; it updates by itself.");
  if (state === "live") {
    if ($("banner").hidden && shown) return;
    banner("");
    load(user);
  }
}

function banner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

const STATES = {
  empty: ["🌾", "No feed yet", "The catalogue is empty, or the workers are still reading it. The feed appears here by itself."],
  error: ["⚙️", "The feed cannot be read", ""],
};

function showState(name, text) {
  $("state").hidden = !name;
  $("feed").hidden = Boolean(name);
  if (!name) return;
  const [art, title, words] = STATES[name];
  $("state-art").textContent = art;
  $("state-title").textContent = title;
  $("state-text").textContent = text ?? words;
}

function failed(error) {
  feedList.clear();
  showState("error", error.message);
}

$("retry").addEventListener("click", () => {
  showState(null);
  feedList.showLoading();
  subscription?.retry();
  load(user);
});

function toast(text, bad = false) {
  clearTimeout(toastTimer);
  $("toast").textContent = text;
  $("toast").classList.toggle("bad", bad);
  $("toast").classList.add("shown");
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), TOAST_MS);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "☀" : "☾";
}
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light"));
dark.addEventListener("change", () => localStorage.getItem("theme") ?? theme(dark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", name);
  theme(name);
});

begin();
