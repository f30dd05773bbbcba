// The item sheet beside the feed, with a URL of its own: the item's details and the explanation of its rank.

import { createCard, element, updateCard } from "./card.js";

export class Sheet {
  constructor(dialog, { onAction, onClose }) {
    this.dialog = dialog;
    this.content = dialog.querySelector(".sheet-content");
    this.itemId = null;
    dialog.addEventListener("close", () => {
      const itemId = this.itemId;
      this.itemId = null;
      if (itemId) onClose(itemId);
    });
    dialog.addEventListener("click", (event) => {
      const action = event.target.closest("button[data-action]");
      if (action) onAction(this.content.querySelector(".card"), action.dataset.action);
      else if (event.target === dialog || event.target.closest(".sheet-close")) dialog.close();
    });
  }

  // Show an item of the feed, or from the catalog if it is no longer in the feed.
  show(itemId, entry, ranking) {
    if (this.content.firstElementChild?.dataset.item !== itemId) {
      const card = createCard(itemId, "article");
      card.querySelector(".open").replaceWith(element("span", "open"));
      card.querySelector(".why").open = true;
      this.content.replaceChildren(card);
    }
    this.itemId = itemId;
    updateCard(this.content.querySelector(".card"), entry, ranking);
    this.link(entry.item?.url);
    if (!this.dialog.open) this.dialog.showModal();
  }

  link(url) {
    this.content.querySelector(".visit")?.remove();
    if (!/^https?:\/\//.test(url ?? "")) return;
    const visit = element("a", "visit", "Open the item’s page");
    visit.href = url;
    visit.rel = "noopener noreferrer";
    visit.target = "_blank";
    this.content.querySelector(".description").after(visit);
  }

  say(itemId, text) {
    this.itemId = itemId;
    this.content.replaceChildren(element("p", "state", text));
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    this.itemId = null;
    if (this.dialog.open) this.dialog.close();
  }
}
