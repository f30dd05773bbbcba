// The list of cards. A new feed moves the remaining cards, so that neither scroll position nor focus is lost.

import { createCard, element, updateCard } from "./card.js";

const MOVE_MS = 450;
const GLOW_MS = 4_000;
const TOP_PX = 60;
const SKELETONS = 6;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class FeedList {
  constructor(list, topPx) {
    this.list = list;
    this.topPx = topPx;
    this.cards = new Map();
    this.ranks = new Map();
    this.glow = 0;
    this.accepts = () => true;
    this.dismissed = new Set();
  }

  // Show only the cards of items for which `accepts` is true; return their number.
  filter(accepts) {
    this.accepts = accepts;
    for (const card of this.cards.values()) this.updateVisibility(card, card.entry);
    return this.visible;
  }

  // Remove a card before the feed does, or restore it.
  dismiss(itemId, isDismissed = true) {
    this.dismissed[isDismissed ? "add" : "delete"](itemId);
    const card = this.cards.get(itemId);
    if (card) this.updateVisibility(card, card.entry);
  }

  updateVisibility(card, entry) {
    card.entry = entry;
    card.hidden = this.dismissed.has(entry.item_id) || !this.accepts(entry.item);
  }

  get visible() {
    return [...this.cards.values()].filter((card) => !card.hidden).length;
  }

  ranking(itemId) {
    const card = this.cards.get(itemId);
    return card && { entry: card.entry, rank: this.ranks.get(itemId), topScore: this.topScore };
  }

  clear() {
    this.dismissed.clear();
    this.cards.clear();
    this.ranks.clear();
    this.list.replaceChildren();
  }

  showLoading() {
    this.clear();
    this.list.setAttribute("aria-busy", "true");
    this.list.append(
      ...Array.from({ length: SKELETONS }, () => {
        const card = element("li", "card skeleton");
        card.setAttribute("aria-hidden", "true");
        return card;
      }),
    );
  }

  // Show a feed; return the numbers of cards that moved up and of new cards.
  show(feed) {
    const first = this.cards.size === 0;
    const entries = feed.items;
    if (first) this.list.replaceChildren();
    const layout = first ? null : this.captureLayout(new Set(entries.map((entry) => entry.item_id)));
    const changes = this.arrange(entries, first);
    if (layout) this.restoreLayout(layout);
    this.list.setAttribute("aria-busy", "false");
    clearTimeout(this.glow);
    this.list.classList.toggle("glowing", !first);
    this.glow = setTimeout(() => this.list.classList.remove("glowing"), GLOW_MS);
    return changes;
  }

  arrange(entries, first) {
    this.topScore = entries.reduce((highest, entry) => Math.max(highest, entry.score), 0);
    const before = this.ranks;
    this.ranks = new Map(entries.map((entry, index) => [entry.item_id, index + 1]));
    for (const [itemId, card] of this.cards) {
      if (!this.ranks.has(itemId)) {
        card.remove();
        this.cards.delete(itemId);
      }
    }
    let up = 0;
    let added = 0;
    let nextCard = this.list.firstElementChild;
    entries.forEach((entry, index) => {
      const rank = index + 1;
      const previousRank = before.get(entry.item_id);
      const card = this.cards.get(entry.item_id) ?? createCard(entry.item_id);
      this.cards.set(entry.item_id, card);
      updateCard(card, entry, { rank, before: previousRank, first, topScore: this.topScore });
      this.updateVisibility(card, entry);
      if (card === nextCard) nextCard = nextCard.nextElementSibling;
      else this.list.insertBefore(card, nextCard);
      if (!first && previousRank === undefined) added += 1;
      if (previousRank > rank) up += 1;
    });
    return { first, up, added };
  }

  // The layout: the tops of the cards, the card being read, and the focus.
  captureLayout(remaining) {
    const cards = [...this.list.children].filter((card) => !card.hidden && this.cards.has(card.dataset.item));
    const tops = new Map(cards.map((card) => [card, card.getBoundingClientRect().top]));
    const reading = cards.filter((card) => card.getBoundingClientRect().bottom > this.topPx);
    const anchor = scrollY < TOP_PX ? null : reading.find((card) => remaining.has(card.dataset.item));
    const active = document.activeElement?.closest?.(".card") ? document.activeElement : null;
    const focused = active?.closest(".card");
    const from = focused ? cards.indexOf(focused) : -1;
    const next = focused && [focused, ...cards.slice(from + 1), ...cards.slice(0, from).reverse()].find((card) => remaining.has(card.dataset.item));
    return { tops, anchor, active, next, action: active?.dataset.action };
  }

  restoreLayout({ tops, anchor, active, next, action }) {
    if (anchor) scrollBy({ top: anchor.getBoundingClientRect().top - tops.get(anchor), behavior: "instant" });
    const target = active?.isConnected ? active : next?.querySelector(`[data-action="${action}"]`);
    if (target && document.activeElement !== target) target.focus({ preventScroll: true });
    if (reducedMotion.matches) return;
    const shift = anchor ? anchor.getBoundingClientRect().top - tops.get(anchor) : 0;
    for (const card of this.cards.values()) {
      const top = card.getBoundingClientRect().top;
      if (top > innerHeight || top < -innerHeight) continue;
      const previousTop = tops.get(card);
      if (previousTop === undefined) card.animate([{ opacity: 0, transform: "scale(.97)" }, { opacity: 1, transform: "none" }], MOVE_MS);
      else if (Math.abs(previousTop - top + shift) > 1) {
        card.animate([{ transform: `translateY(${previousTop - top + shift}px)` }, { transform: "none" }], {
          duration: MOVE_MS,
          easing: "cubic-bezier(.2,.8,.2,1)",
        });
      }
    }
  }

  // Move the focus to the next or previous card's title.
  step(from, by) {
    const next = by > 0 ? "nextElementSibling" : "previousElementSibling";
    let to = from[next];
    while (to?.hidden) to = to[next];
    const open = to?.querySelector(".open");
    open?.focus({ preventScroll: true });
    to?.scrollIntoView({ block: "center", behavior: reducedMotion.matches ? "instant" : "smooth" });
  }
}
