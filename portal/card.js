// The card of a feed item. All text is inserted as text; nothing here parses HTML.

import { hue, showArt } from "./art.js";

// The label and the description of each feature group, from streams/core/ranking/stages/features.py.
const FEATURE_GROUPS = {
  // <!-- page_groups -->
  neighbors: ["related", "often chosen together with liked items"],
  taste: ["similar users", "chosen by users with a similar history"],
  affinity: ["preferences", "of preferred categories and topics"],
  situation: ["this moment", "of categories and topics preferred on this device, at this time of day or here"],
  trending: ["trending", "popular right now"],
  popular: ["popular", "popular for a longer time"],
  segment: ["your group", "popular in the same demographic group"],
  rated: ["rated", "highly rated"],
  fresh: ["new", "new in the catalogue"],
  soon: ["soon", "takes place soon"],
  prefetched: ["prefetched", "fetched in advance"],
  nearby: ["nearby", "close to the last place"],
  hours: ["this hour", "popular at this hour"],
  again: ["again", "chosen before"],
  content: ["similar content", "described like liked items"],
  ml: ["ranking", "scored by the ranking model"],
  llm: ["language model", "scored by a language model"],
  // <!-- /page_groups -->
};
const COLOURS = 16;

export const ACTIONS = [
  { name: "like", label: "Like", glyph: "♥", doneLabel: "Liked" },
  { name: "save", label: "Save", glyph: "★", doneLabel: "Saved" },
  { name: "share", label: "Share", glyph: "↗", doneLabel: "Shared" },
  { name: "skip", label: "Skip", glyph: "✕", doneLabel: "Skipped" },
  { name: "hide", label: "Hide", glyph: "⊘", doneLabel: "Hidden" },
];

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export const groupLabel = (name) => FEATURE_GROUPS[name]?.[0] ?? name;
export const groupDescription = (name) => FEATURE_GROUPS[name]?.[1] ?? "";

// Known groups have fixed colours; the colour of any other group depends on its name.
export function groupColour(name) {
  const position = Object.keys(FEATURE_GROUPS).indexOf(name);
  const index = (position >= 0 ? position : [...name].reduce((sum, character) => sum + character.codePointAt(0), 0)) % COLOURS;
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
  why.append(element("summary", "", "Why this item"), element("ul", "parts"));
  const actions = element("div", "actions");
  for (const action of ACTIONS) {
    const button = element("button", `action ${action.name}`);
    button.type = "button";
    button.dataset.action = action.name;
    const glyph = element("span", "sign", action.glyph);
    glyph.setAttribute("aria-hidden", "true");
    button.title = action.label;
    button.append(glyph, element("span", "action-label", action.label));
    actions.append(button);
  }
  card.append(rank, art, body, score, why, actions);
  return card;
}

export function updateCard(card, entry, ranking) {
  const item = entry.item ?? { title: entry.item_id, category: "" };
  card.style.setProperty("--hue", hue(item.category));
  setText(card, ".rank", ranking.rank ? String(ranking.rank) : "");
  showArt(card.querySelector(".art"), item);
  setText(card, ".open", item.title || entry.item_id);
  setText(card, ".meta", metaOf(item));
  setText(card, ".description", item.description ?? "");
  card.querySelector(".description").hidden = !item.description;
  for (const selector of [".reason", ".score", ".why"]) card.querySelector(selector).hidden = entry.score === undefined;
  if (entry.score !== undefined) showScore(card, entry, ranking);
  for (const button of card.querySelectorAll(".action")) {
    const action = ACTIONS.find(({ name }) => name === button.dataset.action);
    button.setAttribute("aria-label", `${action.label} ${item.title || entry.item_id}`);
  }
  showMove(card, ranking);
}

function showScore(card, entry, ranking) {
  card.querySelector(".reason").replaceChildren(groupChip(entry.source), document.createTextNode(entry.reason || ""));
  setText(card, ".score-value", entry.score.toFixed(3));
  fillBar(card.querySelector(".bar-track"), entry, ranking.topScore);
  fillContributions(card.querySelector(".parts"), entry);
}

function metaOf(item) {
  const details = [item.category, item.city, ...(item.topics ?? []).filter((topic) => topic !== item.category).slice(0, 3)];
  if (typeof item.price === "number") details.push(`${item.price.toFixed(0)} a seat`);
  return details.filter(Boolean).join(" · ");
}

function groupChip(group) {
  const chip = element("span", "chip", groupLabel(group));
  chip.style.setProperty("--part", groupColour(group));
  return chip;
}

function fillBar(track, entry, topScore) {
  const shares = Object.entries(entry.parts ?? {}).filter(([, value]) => value > 0);
  const scale = Math.max(topScore, shares.reduce((sum, [, value]) => sum + value, 0)) || 1;
  track.replaceChildren(
    ...shares.map(([name, value]) => {
      const bar = element("span", "bar-part");
      bar.style.width = `${(100 * value) / scale}%`;
      bar.style.setProperty("--part", groupColour(name));
      return bar;
    }),
  );
  track.setAttribute("aria-hidden", "true");
}

function fillContributions(list, entry) {
  const contributions = Object.entries(entry.parts ?? {}).filter(([, value]) => Math.abs(value) >= 0.0005);
  contributions.sort(([, left], [, right]) => right - left);
  const largest = Math.max(...contributions.map(([, value]) => Math.abs(value)));
  list.replaceChildren(
    ...contributions.map(([name, value]) => {
      const row = element("li", "part");
      row.style.setProperty("--part", groupColour(name));
      const bar = element("span", "part-bar");
      bar.style.width = `${(100 * Math.abs(value)) / largest}%`;
      const track = element("span", "part-track");
      track.append(bar);
      row.append(element("span", "part-name", groupLabel(name)), track, element("span", "part-value", signed(value)));
      row.title = groupDescription(name);
      return row;
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

function setText(card, selector, text) {
  const node = card.querySelector(selector);
  if (node.textContent !== text) node.textContent = text;
}
