// Catalog search: the URL contains the search terms, so that a search can be bookmarked and shared.

import { createCard, updateCard } from "./card.js";
import { publish, search } from "./client.js";
import { send } from "./home.js";
import { go, searchPath } from "./router.js";
import { announce } from "./toast.js";

const $ = (id) => document.getElementById(id);
let currentSearch = null;

export async function visit({ query = "" }, user) {
  $("query").value = query;
  const requested = `${user} ${query}`; // matches depend on the user's location
  if (currentSearch === requested) return;
  currentSearch = requested;
  document.title = `${query || "Search"} · Millrace`;
  $("results").replaceChildren();
  if (!query) return setNote("Enter words, such as jazz, waterfront or a film about the sea. Misspellings are corrected.");
  setNote("Searching …");
  publish(user, { action: "search", query }).catch(() => {});
  try {
    const matches = await search(user, query);
    if (currentSearch === requested) show(matches);
  } catch (error) {
    if (currentSearch !== requested) return;
    currentSearch = null;
    setNote(error.status === 404 || error.status === 503 ? "Search is unavailable right now. The feed still works." : error.message);
  }
}

function show({ results, total, corrected = {}, fallback_reason: fallback }) {
  const corrections = Object.entries(corrected).map(([typed, correction]) => `“${correction}” for “${typed}”`);
  const noMatches = `No item matches these words.${results.length ? " Popular right now:" : ""}`;
  const count = fallback ? noMatches : `${total} ${total === 1 ? "item" : "items"}`;
  setNote([count, corrections.length && `searched for ${corrections.join(", ")}`].filter(Boolean).join(" · "));
  announce($("search-note").textContent);
  $("results").replaceChildren(
    ...results.map((item) => {
      const card = createCard(item.item_id);
      updateCard(card, { item_id: item.item_id, item }, { first: true });
      return card;
    }),
  );
}

function setNote(words) {
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
