// A user's feed: initial read, updates, and interactions.

import { ACTIONS, element, partColour, partLabel, partMeaning } from "./card.js";
import { act, follow, readFeed, readItem, readMoods } from "./client.js";
import { FeedList } from "./feed.js";
import { Filter } from "./filter.js";
import { go, goBehind, itemPath } from "./place.js";
import { Sheet } from "./sheet.js";
import { announce, toast } from "./toast.js";

const $ = (id) => document.getElementById(id);
const LOG_LINES = 8;
const KEYS = { l: "like", s: "save", x: "skip", h: "hide" };
const DONE = { click: "Opened", ...Object.fromEntries(ACTIONS.map((action) => [action.name, action.done])) };

const feedList = new FeedList($("feed"), 72);
const filter = new Filter($("categories"), $("mood"), refilter);
const sheet = new Sheet($("sheet"), { onAction: send, onClose: leaveItem });
let user = null;
let shown = null;
let shownAt = 0;
let subscription = null;
let waiting = null;
let wanted = null; // the item in the URL

readMoods().then((words) => filter.offerMoods(words), () => {});

export async function start(userId) {
  user = userId;
  shown = waiting = null;
  subscription?.close();
  showState(null);
  banner("");
  feedList.showLoading();
  title();
  scrollTo({ top: 0, behavior: "instant" });
  subscription = follow(userId, { onFeed: (feed) => user === userId && show(feed), onState: connection });
  await load(userId);
}

// Show the view of the URL: a category of the feed, or one of its items.
export function visit({ view, category = "", item = null }) {
  if (view === "home") filter.category = category;
  wanted = item;
  if (view === "home") title();
  if (wanted === null) sheet.close();
  refilter();
  if (shown) showItem();
}

function title() {
  const what = filter.category ? `${filter.category} for ${user}` : `Feed of ${user}`;
  $("heading").textContent = what;
  document.title = `${what} · Millrace`;
}

function refilter() {
  if (!shown) return;
  filter.show(shown);
  const count = feedList.filter((item) => filter.accepts(item));
  showState(!shown.items.length ? "empty" : count ? null : "filtered");
}

async function showItem() {
  if (wanted === null) return;
  const itemId = wanted;
  const place = feedList.place(itemId);
  if (place) sheet.show(itemId, place.entry, { rank: place.rank, topScore: place.topScore, first: true });
  if (place || sheet.itemId === itemId) return;
  sheet.say(itemId, "Looking it up …");
  try {
    const item = await readItem(itemId);
    if (wanted === itemId && !feedList.place(itemId)) sheet.show(itemId, { item_id: itemId, item }, { first: true });
  } catch (error) {
    if (wanted === itemId) sheet.say(itemId, error.status === 404 ? "There is no such item." : error.message);
  }
}

function leaveItem(itemId) {
  goBehind();
  const card = $("feed").querySelector(`[data-item="${CSS.escape(itemId)}"]:not([hidden])`) ?? $("feed").querySelector(".card:not([hidden])");
  card?.querySelector(".open")?.focus({ preventScroll: true });
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
  if (shown && !isNewer(feed, shown)) return; // the response to a read may arrive after a later update
  const changedAt = performance.now();
  const changes = feedList.show(feed);
  shown = feed;
  refilter();
  showItem();
  shownAt = changedAt - (feed.age_ms ?? 0);
  banner("");
  freshness(feed);
  legend(feed);
  if (waiting && !changes.first) answered(waiting, changedAt, changes);
  else if (!changes.first && (changes.up || changes.entered)) {
    announce(`Feed updated: ${summary(changes)}.`);
  }
}

// A version consists of the features' version, the time of ranking and a digest of the items, joined by hyphens. If
// only the items of a feed have changed, the later response is newer.
function isNewer(feed, other) {
  const [features, made] = numbers(feed);
  const [otherFeatures, otherMade] = numbers(other);
  if (features !== otherFeatures) return features > otherFeatures;
  if (made !== otherMade) return made > otherMade;
  return feed.version !== other.version && answeredAt(feed) >= answeredAt(other);
}

const numbers = (feed) => String(feed.version ?? "0-0").split("-", 2).map(Number);

const answeredAt = ({ generated_at: made = 0, age_ms: age = 0 }) => made + age;

function answered(action, changedAt, changes) {
  const took = Math.round(changedAt - action.at);
  waiting = null;
  action.line.querySelector(".took").textContent = `feed changed after ${took} ms`;
  toast(`Feed changed ${took} ms after your ${action.name}: ${summary(changes)}`);
}

const summary = ({ up, entered }) => [up && `${up} up`, entered && `${entered} new`].filter(Boolean).join(", ") || "same items";

export async function send(card, name) {
  const itemId = card.dataset.item;
  const forUser = user;
  if (name === "click") go(itemPath(itemId));
  if (name === "share" && !(await share(card, itemId))) return;
  const action = { name, at: performance.now(), line: log(name, card.querySelector(".open").textContent) };
  waiting = action;
  reflect(card, name, true);
  try {
    await act(forUser, itemId, name);
  } catch (error) {
    if (waiting === action) waiting = null;
    reflect(card, name, false);
    action.line.querySelector(".took").textContent = "not sent";
    action.line.classList.add("bad");
    toast(`Not sent: ${error.message}`, true);
  }
}

// Show an interaction on a card and on its copy in the sheet, or undo it.
function reflect(card, name, on) {
  const itemId = card.dataset.item;
  for (const each of document.querySelectorAll(`[data-item="${CSS.escape(itemId)}"]`)) {
    each.classList.toggle("acted", on);
    mark(each, name, on);
  }
  if (name !== "hide") return;
  if (on && sheet.itemId === itemId) goBehind();
  if (on && card.contains(document.activeElement)) feedList.step(card, 1);
  feedList.dismiss(itemId, on);
}

function mark(card, name, on) {
  for (const button of card.querySelectorAll(`.action[data-action="${name}"]`)) {
    const known = ACTIONS.find((action) => action.name === name);
    button.classList.toggle("on", on);
    button.querySelector(".action-label").textContent = on ? known.done : known.label;
  }
}

// Share an item's URL with another app, or copy it to the clipboard; return whether it worked.
async function share(card, itemId) {
  const url = location.origin + itemPath(itemId);
  try {
    if (navigator.share) await navigator.share({ title: card.querySelector(".open").textContent, url });
    else {
      await navigator.clipboard.writeText(url);
      toast("The address of this item can be pasted now.");
    }
    return true;
  } catch (error) {
    if (error.name !== "AbortError") toast(`It can be shared at ${url}`);
    return error.name !== "AbortError";
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
  const text = { connecting: "Connecting …", live: "Live", lost: navigator.onLine ? "Reconnecting …" : "Offline", refused: "Not signed in" };
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
  filtered: ["🔎", "Nothing of that in the feed right now", "It appears here by itself when it is ranked."],
  empty: ["🌾", "No feed yet", "The catalogue is empty, or the workers are still reading it. The feed appears here by itself."],
  refused: ["🔑", "Sign in to see this feed", "A token opens the feed of its own user."],
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
  $("retry").textContent = { filtered: "Show everything", refused: "Sign in" }[name] ?? "Try again";
  $("retry").dataset.for = name;
}

function failed(error) {
  feedList.clear();
  const refused = error.status === 401 || error.status === 403;
  showState(refused ? "refused" : "error", error.message);
}

$("retry").addEventListener("click", () => {
  const why = $("retry").dataset.for;
  if (why === "filtered") $("mood").value = "";
  if (why === "filtered") return go("/");
  if (why === "refused") return go("/you");
  showState(null);
  feedList.showLoading();
  subscription?.retry();
  load(user);
});
