// The card of a feed item. All text is inserted as text; nothing here parses HTML.

import { hue, showArt } from "./art.js";

// The label and the meaning of each score contribution.
const PARTS = {
  affinity: ["taste", "your taste in topics and categories"],
  neighbors: ["similar", "goes with what you liked"],
  trending: ["trending", "much used right now"],
  popular: ["popular", "popular in your categories"],
  segment: ["your group", "popular with people like you"],
  fresh: ["new", "new in the catalogue"],
  taste: ["learned taste", "what people with a history like yours chose"],
  content: ["alike", "like items that you liked"],
  ml: ["ranking", "the score of the ranking model"],
  llm: ["language model", "a language model's score of how well it fits you"],
  prefetched: ["found for you", "fetched for you in advance"],
  soon: ["soon", "takes place soon"],
  again: ["again", "you come back to this"],
  rated: ["rated", "well rated"],
};
const COLOURS = 9;

export const ACTIONS = [
  { name: "like", label: "Like", glyph: "♥", done: "Liked" },
  { name: "save", label: "Save", glyph: "★", done: "Saved" },
  { name: "share", label: "Share", glyph: "↗", done: "Shared" },
  { name: "skip", label: "Skip", glyph: "✕", done: "Skipped" },
  { name: "hide", label: "Hide", glyph: "⊘", done: "Hidden" },
];

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export const partLabel = (name) => PARTS[name]?.[0] ?? name;
export const partMeaning = (name) => PARTS[name]?.[1] ?? "";

// The first known contributions have fixed colours; the colours of others depend on their position or name.
export function partColour(name) {
  const known = Object.keys(PARTS).indexOf(name);
  const index = known >= 0 ? known % COLOURS : [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % COLOURS;
  return `var(--part-${index})`;
}

export function createCard(itemId, tag = "li") {
  const card = element(tag, "card");
  card.dataset.item = itemId;
  const art = element("div", "art");
  art.setAttribute("aria-hidden", "true");
  const rank = element("span", "rank");
  const move = element("span", "move");
  const title = element("h2", "title");
  const open = element("button", "open");
  open.type = "button";
  open.dataset.action = "click";
  title.append(open);
  const head = element("div", "head");
  head.append(title, move);
  const body = element("div", "body");
  body.append(head, element("p", "meta"), element("p", "description"), element("p", "reason"));
  const score = element("div", "score");
  score.append(element("span", "score-value"), element("span", "bar-track"));
  const why = element("details", "why");
  why.append(element("summary", "", "Why this"), element("ul", "parts"));
  const actions = element("div", "actions");
  for (const action of ACTIONS) {
    const button = element("button", `action ${action.name}`);
    button.type = "button";
    button.dataset.action = action.name;
    const sign = element("span", "sign", action.glyph);
    sign.setAttribute("aria-hidden", "true");
    button.title = action.label;
    button.append(sign, element("span", "action-label", action.label));
    actions.append(button);
  }
  card.append(rank, art, body, score, why, actions);
  return card;
}

export function updateCard(card, entry, place) {
  const item = entry.item ?? { title: entry.item_id, category: "" };
  card.style.setProperty("--hue", hue(item.category));
  put(card, ".rank", place.rank ? String(place.rank) : "");
  showArt(card.querySelector(".art"), item);
  put(card, ".open", item.title || entry.item_id);
  put(card, ".meta", metaOf(item));
  put(card, ".description", item.description ?? "");
  card.querySelector(".description").hidden = !item.description;
  for (const part of [".reason", ".score", ".why"]) card.querySelector(part).hidden = entry.score === undefined;
  if (entry.score !== undefined) showScore(card, entry, place);
  for (const button of card.querySelectorAll(".action")) {
    const action = ACTIONS.find((known) => known.name === button.dataset.action);
    button.setAttribute("aria-label", `${action.label} ${item.title || entry.item_id}`);
  }
  showMove(card, place);
}

function showScore(card, entry, place) {
  card.querySelector(".reason").replaceChildren(sourceChip(entry.source), document.createTextNode(entry.reason || ""));
  put(card, ".score-value", entry.score.toFixed(3));
  fillBar(card.querySelector(".bar-track"), entry, place.topScore);
  fillParts(card.querySelector(".parts"), entry);
}

function metaOf(item) {
  const facts = [item.category, item.city, ...(item.topics ?? []).filter((topic) => topic !== item.category).slice(0, 3)];
  if (typeof item.price === "number") facts.push(`${item.price.toFixed(0)} a seat`);
  return facts.filter(Boolean).join(" · ");
}

function sourceChip(source) {
  const chip = element("span", "chip", partLabel(source));
  chip.style.setProperty("--part", partColour(source));
  return chip;
}

function fillBar(track, entry, topScore) {
  const shares = Object.entries(entry.parts ?? {}).filter(([, value]) => value > 0);
  const scale = Math.max(topScore, shares.reduce((sum, [, value]) => sum + value, 0)) || 1;
  track.replaceChildren(
    ...shares.map(([name, value]) => {
      const bar = element("span", "bar-part");
      bar.style.width = `${(100 * value) / scale}%`;
      bar.style.setProperty("--part", partColour(name));
      return bar;
    }),
  );
  track.setAttribute("aria-hidden", "true");
}

function fillParts(list, entry) {
  const parts = Object.entries(entry.parts ?? {}).filter(([, value]) => Math.abs(value) >= 0.0005);
  parts.sort(([, left], [, right]) => right - left);
  const most = Math.max(...parts.map(([, value]) => Math.abs(value)));
  list.replaceChildren(
    ...parts.map(([name, value]) => {
      const part = element("li", "part");
      part.style.setProperty("--part", partColour(name));
      const bar = element("span", "part-bar");
      bar.style.width = `${(100 * Math.abs(value)) / most}%`;
      const track = element("span", "part-track");
      track.append(bar);
      part.append(element("span", "part-name", partLabel(name)), track, element("span", "part-value", signed(value)));
      part.title = partMeaning(name);
      return part;
    }),
  );
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);

function showMove(card, { rank, before, first }) {
  const move = card.querySelector(".move");
  const up = before - rank;
  card.classList.toggle("up", !first && up > 0);
  card.classList.toggle("entered", !first && before === undefined);
  move.textContent = first || up < 0 || up === 0 ? "" : before === undefined ? "new" : `▲ ${up}`;
  move.title = up > 0 ? `Up from ${before}` : "";
}

function put(card, selector, text) {
  const node = card.querySelector(selector);
  if (node.textContent !== text) node.textContent = text;
}
