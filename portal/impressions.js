// Reports of impressions: cards count as shown once half of them has been visible for a second.

import { reportShown } from "./client.js";

const VISIBLE_SHARE = 0.5;
const VISIBLE_MS = 1_000;
const REPORT_MS = 2_000;
const MAX_ITEMS = 500;

export class ImpressionReporter {
  // `positionOf` returns the position of an item in the feed, 0 for the first.
  constructor(positionOf) {
    this.positionOf = positionOf;
    this.observer = new IntersectionObserver((changes) => this.onChanges(changes), { threshold: VISIBLE_SHARE });
    this.cards = new Set();
    this.timers = new Map();
    this.reset(null);
  }

  // Start anew for a user, or for nobody.
  reset(userId) {
    this.flush();
    this.userId = userId;
    this.ranking = null;
    this.shownItems = new Set();
  }

  // Watch the cards of a feed. A feed that is ranked anew is shown anew.
  watch(feed, cards) {
    const ranking = String(feed.version).split("-", 2).join("-");
    if (ranking !== this.ranking) this.shownItems.clear();
    this.ranking = ranking;
    for (const card of this.cards) if (!cards.has(card)) this.unwatch(card);
    for (const card of cards) {
      this.cards.add(card);
      this.observer.unobserve(card); // so that the observer tells again whether it is visible
      this.observer.observe(card);
    }
  }

  unwatch(card) {
    this.observer.unobserve(card);
    this.cards.delete(card);
    clearTimeout(this.timers.get(card));
    this.timers.delete(card);
  }

  onChanges(changes) {
    for (const { target: card, isIntersecting } of changes) {
      clearTimeout(this.timers.get(card));
      this.timers.delete(card);
      if (isIntersecting) this.timers.set(card, setTimeout(() => this.onShown(card), VISIBLE_MS));
    }
  }

  onShown(card) {
    const { entry } = card;
    if (!entry || card.hidden || document.visibilityState !== "visible" || this.shownItems.has(entry.item_id)) return;
    this.shownItems.add(entry.item_id);
    this.items ??= [];
    this.items.push({ item_id: entry.item_id, position: this.positionOf(entry.item_id), propensity: entry.propensity ?? null });
    if (this.items.length >= MAX_ITEMS) this.flush();
    else this.reporting ??= setTimeout(() => this.flush(), REPORT_MS);
  }

  // Report what was shown since the last report; a report that fails is lost.
  flush() {
    clearTimeout(this.reporting);
    this.reporting = undefined;
    const items = this.items ?? [];
    this.items = [];
    if (items.length && this.userId) reportShown(this.userId, items).catch(() => null);
  }
}
