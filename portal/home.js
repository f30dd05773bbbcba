// A user's feed: initial read, updates, and interactions.

import { ACTIONS, element, groupColour, groupLabel, groupDescription } from "./card.js";
import { act, follow, readFeed, readItem, readMoods } from "./client.js";
import { FeedList } from "./feed.js";
import { ImpressionReporter } from "./impressions.js";
import { Filter } from "./filter.js";
import { go, closeItem, itemPath } from "./router.js";
import { Sheet } from "./sheet.js";
import { announce, toast } from "./toast.js";

const $ = (id) => document.getElementById(id);
const LOG_LINES = 8;
const KEYS = { l: "like", s: "save", x: "skip", h: "hide" };
const DONE_LABELS = { click: "Opened", ...Object.fromEntries(ACTIONS.map((action) => [action.name, action.doneLabel])) };

const feedList = new FeedList($("feed"), 72);
const impressions = new ImpressionReporter((itemId) => feedList.ranks.get(itemId) - 1);
const filter = new Filter($("categories"), $("mood"), refilter);
const sheet = new Sheet($("sheet"), { onAction: send, onClose: onSheetClosed });
let user = null;
let currentFeed = null;
let feedChangedAt = 0;
let subscription = null;
let pendingAction = null;
let openItemId = null; // the item in the URL

readMoods().then((words) => filter.setMoods(words), () => {});

export async function start(userId) {
  user = userId;
  impressions.reset(userId);
  currentFeed = pendingAction = null;
  subscription?.close();
  showState(null);
  showBanner("");
  feedList.showLoading();
  showTitle();
  scrollTo({ top: 0, behavior: "instant" });
  subscription = follow(userId, { onFeed: (feed) => user === userId && show(feed), onState: showConnection });
  await load(userId);
}

// Show the category or the item that the URL names.
export function visit({ view, category = "", item = null }) {
  if (view === "home") filter.category = category;
  openItemId = item;
  if (view === "home") showTitle();
  if (openItemId === null) sheet.close();
  refilter();
  if (currentFeed) showItem();
}

function showTitle() {
  const heading = filter.category ? `${filter.category} for ${user}` : `Feed of ${user}`;
  $("heading").textContent = heading;
  document.title = `${heading} · Millrace`;
}

function refilter() {
  if (!currentFeed) return;
  filter.show(currentFeed);
  const count = feedList.filter((item) => filter.accepts(item));
  showState(!currentFeed.items.length ? "empty" : count ? null : "filtered");
}

async function showItem() {
  if (openItemId === null) return;
  const itemId = openItemId;
  const ranking = feedList.ranking(itemId);
  if (ranking) sheet.show(itemId, ranking.entry, { rank: ranking.rank, topScore: ranking.topScore, first: true });
  if (ranking || sheet.itemId === itemId) return;
  sheet.say(itemId, "Loading …");
  try {
    const item = await readItem(itemId);
    if (openItemId === itemId && !feedList.ranking(itemId)) sheet.show(itemId, { item_id: itemId, item }, { first: true });
  } catch (error) {
    if (openItemId === itemId) sheet.say(itemId, error.status === 404 ? "There is no such item." : error.message);
  }
}

function onSheetClosed(itemId) {
  closeItem();
  const card = $("feed").querySelector(`[data-item="${CSS.escape(itemId)}"]:not([hidden])`) ?? $("feed").querySelector(".card:not([hidden])");
  card?.querySelector(".open")?.focus({ preventScroll: true });
}

async function load(userId) {
  try {
    const feed = await readFeed(userId);
    if (user === userId) show(feed);
  } catch (error) {
    if (user !== userId || currentFeed) return;
    if (error.status === 404) show({ items: [] });
    else showError(error);
  }
}

function show(feed) {
  if (currentFeed && !isNewer(feed, currentFeed)) return; // the response to a read may arrive after a later update
  const changedAt = performance.now();
  const changes = feedList.show(feed);
  currentFeed = feed;
  refilter();
  impressions.watch(feed, new Set(feedList.cards.values()));
  showItem();
  feedChangedAt = changedAt - (feed.age_ms ?? 0);
  showBanner("");
  showFreshness(feed);
  showLegend(feed);
  if (pendingAction && !changes.first) reportChange(pendingAction, changedAt, changes);
  else if (!changes.first && (changes.up || changes.added)) {
    announce(`Feed updated: ${summary(changes)}.`);
  }
}

// A version consists of the features' version, the time of ranking and a digest of the items, joined by hyphens. If
// only the items of a feed have changed, the later response is newer.
function isNewer(feed, other) {
  const [features, generatedAt] = numbers(feed);
  const [otherFeatures, otherGeneratedAt] = numbers(other);
  if (features !== otherFeatures) return features > otherFeatures;
  if (generatedAt !== otherGeneratedAt) return generatedAt > otherGeneratedAt;
  return feed.version !== other.version && respondedAt(feed) >= respondedAt(other);
}

const numbers = (feed) => String(feed.version ?? "0-0").split("-", 2).map(Number);

const respondedAt = ({ generated_at: generatedAt = 0, age_ms: age = 0 }) => generatedAt + age;

function reportChange(action, changedAt, changes) {
  const tookMs = Math.round(changedAt - action.at);
  pendingAction = null;
  action.line.querySelector(".took").textContent = `feed changed after ${tookMs} ms`;
  toast(`Feed changed ${tookMs} ms after your ${action.name}: ${summary(changes)}`);
}

const summary = ({ up, added }) => [up && `${up} up`, added && `${added} new`].filter(Boolean).join(", ") || "same items";

export async function send(card, name) {
  const itemId = card.dataset.item;
  const forUser = user;
  if (name === "click") go(itemPath(itemId));
  if (name === "share" && !(await share(card, itemId))) return;
  const action = { name, at: performance.now(), line: logAction(name, card.querySelector(".open").textContent) };
  pendingAction = action;
  reflect(card, name, true);
  try {
    await act(forUser, itemId, name);
  } catch (error) {
    if (pendingAction === action) pendingAction = null;
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
  if (on && sheet.itemId === itemId) closeItem();
  if (on && card.contains(document.activeElement)) feedList.step(card, 1);
  feedList.dismiss(itemId, on);
}

function mark(card, name, on) {
  for (const button of card.querySelectorAll(`.action[data-action="${name}"]`)) {
    const action = ACTIONS.find((action) => action.name === name);
    button.classList.toggle("on", on);
    button.querySelector(".action-label").textContent = on ? action.doneLabel : action.label;
  }
}

// Share an item's URL with another app, or copy it to the clipboard; return whether it worked.
async function share(card, itemId) {
  const url = location.origin + itemPath(itemId);
  try {
    if (navigator.share) await navigator.share({ title: card.querySelector(".open").textContent, url });
    else {
      await navigator.clipboard.writeText(url);
      toast("The link to this item was copied.");
    }
    return true;
  } catch (error) {
    if (error.name !== "AbortError") toast(`Link to this item: ${url}`);
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

function logAction(name, title) {
  const line = element("li");
  line.append(element("span", "log-action", DONE_LABELS[name] ?? name), element("span", "what", title), element("span", "took", "sent …"));
  $("log").querySelector(".quiet")?.remove();
  $("log").prepend(line);
  while ($("log").children.length > LOG_LINES) $("log").lastElementChild.remove();
  return line;
}

function showFreshness(feed) {
  const [features, generatedAt] = String(feed.version ?? "–").split("-");
  $("version").textContent = generatedAt ? `…${features.slice(-6)}` : features;
  $("version").title = String(feed.version ?? "");
  $("model").textContent = feed.model ?? "–";
  $("watermark").textContent = feed.watermark ? formatAge(Date.now() - feed.watermark) : "none yet";
  $("fallback").hidden = !feed.fallback;
  tick();
}

function tick() {
  if (currentFeed?.generated_at) $("age").textContent = formatAge(performance.now() - feedChangedAt);
}
setInterval(tick, 1_000);

function formatAge(ageMs) {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h ago`;
  return `${Math.round(seconds / 86_400).toLocaleString()} days ago`;
}

function showLegend(feed) {
  const names = [...new Set(feed.items.flatMap((entry) => Object.keys(entry.parts ?? {})))].sort();
  $("legend").replaceChildren(
    ...names.map((name) => {
      const row = element("li", "part");
      row.style.setProperty("--part", groupColour(name));
      const words = element("span");
      words.append(element("b", "", groupLabel(name)), ` ${groupDescription(name)}`);
      row.append(words);
      return row;
    }),
  );
}

function showConnection(state) {
  const text = { connecting: "Connecting …", live: "Live", lost: navigator.onLine ? "Reconnecting …" : "Offline", refused: "Not signed in" };
  $("connection").dataset.state = state;
  $("connection-text").textContent = text[state];
  if (state === "lost" && currentFeed) showBanner("The connection is lost. This is the last feed that arrived; it updates once the connection is back.");
  if (state === "live") {
    if ($("banner").hidden && currentFeed) return;
    showBanner("");
    load(user);
  }
}

function showBanner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

const STATES = {
  filtered: ["🔎", "No item of the feed matches right now", "Matching items appear here as soon as they are ranked."],
  empty: ["🌾", "No feed yet", "The catalogue is empty, or the workers are still reading it. The feed appears here as soon as it is ranked."],
  refused: ["🔑", "Sign in to see this feed", "A token gives access to the feed of its own user."],
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
  $("retry").textContent = { filtered: "Show all items", refused: "Sign in" }[name] ?? "Try again";
  $("retry").dataset.for = name;
}

function showError(error) {
  feedList.clear();
  const isRefused = error.status === 401 || error.status === 403;
  showState(isRefused ? "refused" : "error", error.message);
}

$("retry").addEventListener("click", () => {
  const state = $("retry").dataset.for;
  if (state === "filtered") $("mood").value = "";
  if (state === "filtered") return go("/");
  if (state === "refused") return go("/you");
  showState(null);
  feedList.showLoading();
  subscription?.retry();
  load(user);
});
