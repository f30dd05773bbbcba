// Filters of a feed's cards by category and mood. The order of the feed is kept.

import { element } from "./card.js";
import { categoryPath } from "./router.js";

export class Filter {
  constructor(categories, moods, onChange) {
    this.categories = categories;
    this.moods = moods;
    this.words = {};
    this.category = "";
    moods.addEventListener("change", onChange);
  }

  setMoods(words) {
    this.words = words;
    this.moods.append(...Object.keys(words).map((mood) => new Option(mood)));
    this.moods.parentElement.hidden = false;
  }

  get active() {
    return Boolean(this.category || this.moods.value);
  }

  accepts(item) {
    if (this.category && item?.category !== this.category) return false;
    const words = this.words[this.moods.value];
    return !words || wordsOf(item).some((word) => words.includes(word));
  }

  // Show the categories of a feed as links; the current one is always included.
  show(feed) {
    const feedCategories = feed.items.map((entry) => entry.item?.category).filter(Boolean);
    const names = [...new Set([...feedCategories, this.category].filter(Boolean))].sort();
    this.categories.replaceChildren(...["", ...names].map((name) => this.link(name)));
    this.categories.hidden = names.length < 2 && !this.category;
    const current = this.categories.querySelector("[aria-current]");
    this.categories.scrollLeft = current.offsetLeft - this.categories.offsetLeft - 40;
  }

  link(name) {
    const link = element("a", "filter", name || "Everything");
    link.href = categoryPath(name) + location.hash;
    link.dataset.view = "";
    if (name === this.category) link.setAttribute("aria-current", "true");
    return link;
  }
}

function wordsOf(item) {
  const { topics = [], category = "", title = "", description = "" } = item ?? {};
  return [...topics, category, title, description].join(" ").toLowerCase().match(/\p{L}+/gu) ?? [];
}
