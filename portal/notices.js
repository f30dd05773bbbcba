// Push notifications sent while the page is open, displayed as on a device.

import { readNotifications } from "./client.js";
import { toast } from "./toast.js";

const LOOK_MS = 15_000;
let user = null;
let newest = 0;

export function watch(userId) {
  user = userId;
  newest = Date.now();
}

async function look() {
  if (!user || document.visibilityState !== "visible") return;
  const found = await readNotifications(user).catch(() => null);
  const fresh = (found?.notifications ?? []).filter((one) => one.status === "sent" && one.decided_at > newest);
  if (!fresh.length) return;
  newest = Math.max(...fresh.map((one) => one.decided_at));
  toast(["🔔", fresh[0].title, fresh[0].body].filter(Boolean).join(" · "));
}

setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
