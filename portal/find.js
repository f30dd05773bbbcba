// Catalog search: the URL contains the search terms, so that a search can be bookmarked and shared.

import { createCard, updateCard } from "./card.js";
import { publish, search } from "./client.js";
import { send } from "./home.js";
import { go, searchPath } from "./place.js";
import { announce } from "./toast.js";

const $ = (id) => document.getElementById(id);
let asked = null;

export async function visit({ query = "" }, user) {
  $("query").value = query;
  const mine = `${user} ${query}`; // matches depend on the user's location
  if (asked === mine) return;
  asked = mine;
  document.title = `${query || "Search"} · Millrace`;
  $("results").replaceChildren();
  if (!query) return say("Words, misspelt or not: jazz, waterfront, a film about the sea.");
  say("Searching …");
  publish(user, { action: "search", query }).catch(() => {});
  try {
    const found = await search(user, query);
    if (asked === mine) show(found);
  } catch (error) {
    if (asked !== mine) return;
    asked = null;
    say(error.status === 404 || error.status === 503 ? "The catalogue cannot be searched here right now. The feed still works." : error.message);
  }
}

function show({ results, total, corrected = {}, fallback_reason: fallback }) {
  const instead = Object.entries(corrected).map(([typed, meant]) => `“${meant}” for “${typed}”`);
  const nothing = `Nothing fits these words.${results.length ? " This is what many look at now:" : ""}`;
  const count = fallback ? nothing : `${total} ${total === 1 ? "item" : "items"}`;
  say([count, instead.length && `searched for ${instead.join(", ")}`].filter(Boolean).join(" · "));
  announce($("search-note").textContent);
  $("results").replaceChildren(
    ...results.map((item) => {
      const card = createCard(item.item_id);
      updateCard(card, { item_id: item.item_id, item }, { first: true });
      return card;
    }),
  );
}

function say(words) {
  $("search-note").textContent = words;
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go(searchPath($("query").value.trim()));
});

$("results").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) send(button.closest(".card"), button.dataset.action);
});
