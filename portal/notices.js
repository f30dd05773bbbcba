// Push notifications sent while the page is open, shown as a device would show them.

import { readNotifications } from "./client.js";
import { toast } from "./toast.js";

const POLL_MS = 15_000;
let user = null;
let newest = 0;

export function watch(userId) {
  user = userId;
  newest = Date.now();
}

async function poll() {
  if (!user || document.visibilityState !== "visible") return;
  const response = await readNotifications(user).catch(() => null);
  const sentSince = (response?.notifications ?? []).filter((one) => one.status === "sent" && one.decided_at > newest);
  if (!sentSince.length) return;
  newest = Math.max(...sentSince.map((one) => one.decided_at));
  toast(["🔔", sentSince[0].title, sentSince[0].body].filter(Boolean).join(" · "));
}

setInterval(poll, POLL_MS);
document.addEventListener("visibilitychange", poll);
