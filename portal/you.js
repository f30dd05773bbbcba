// The user view: inferred and stated profile, push preferences, and sign-in.

import { element } from "./card.js";
import { bar } from "./chart.js";
import { changePreferences, changePush, readNotifications, readPreferences, readProfile, readPush } from "./client.js";
import { settingsForm } from "./form.js";
import { signedIn, signIn, signOut, subject } from "./session.js";
import { toast } from "./toast.js";

const $ = (id) => document.getElementById(id);
const MAX_SHOWN = 8;
const LISTS = ["categories", "topics", "muted"];
const STATUS_LABELS = {
  sent: "Sent", quiet_hours: "Delayed until the quiet hours end", retrying: "Retrying", capped: "Daily limit reached",
  not_worth_it: "Below the value threshold", unwanted: "Category not wanted", repeated: "Already sent",
  unregistered: "No device", expired: "Too late", failed: "Failed", not_configured: "Push is not configured", withdrawn: "Withdrawn",
};
let user = null;

export async function visit(_, userId) {
  user = userId;
  document.title = `${userId} · Millrace`;
  $("you-heading").textContent = userId;
  showSession();
  const onError = (error) => {
    if (error.status === 404) return null;
    toast(error.message, true);
    return undefined;
  };
  const forms = preferences.load(userId).then(() => push.load(userId));
  const [profile, decisions] = await Promise.all([
    readProfile(userId).catch(onError),
    readNotifications(userId).catch(onError),
    forms,
  ]);
  if (user !== userId) return;
  showInferredProfile(profile);
  showDecisions(decisions?.notifications ?? []);
}

const preferences = settingsForm($("profile"), {
  async read(userId) {
    const { body, tag } = await readPreferences(userId);
    const lists = Object.fromEntries(LISTS.map((name) => [name, body[name].join(", ")]));
    return { values: { ...lists, city: body.city ?? "", timezone: body.timezone ?? "" }, tag };
  },
  defaults: () => ({ values: { categories: "", topics: "", muted: "", city: "", timezone: "" }, tag: null }),
  write(userId, { values, names }, tag) {
    const valueOf = (name) => (LISTS.includes(name) ? splitList(values[name]) : values[name].trim() || null);
    return changePreferences(userId, Object.fromEntries(names.map((name) => [name, valueOf(name)])), tag);
  },
  savedText: "Saved. The feed is ranked again.",
});

const push = settingsForm($("push"), {
  async read(userId) {
    const { body, tag } = await readPush(userId);
    return { values: pushValues(body.preferences), tag };
  },
  defaults: () => ({ values: pushValues({}), tag: null }),
  write(userId, { values, names }, tag) {
    const changes = {};
    if (names.includes("kinds")) changes.categories = splitList(values.kinds).length ? splitList(values.kinds) : null;
    const { start, end, zone } = values;
    const quietHours = { start, end, timezone: zone.trim() };
    if (names.some((name) => name !== "kinds")) changes.quiet_hours = values.quiet ? quietHours : null;
    return changePush(userId, changes, tag);
  },
  savedText: "Saved.",
});

function pushValues({ quiet_hours: quietHours, categories }) {
  const localZone = $("profile").elements.timezone.value || Intl.DateTimeFormat().resolvedOptions().timeZone;
  const { start = "22:00", end = "08:00", timezone = localZone } = quietHours ?? {};
  return { quiet: Boolean(quietHours), start, end, zone: timezone, kinds: (categories ?? []).join(", ") };
}

function showInferredProfile(profile) {
  const topAffinities = Object.entries({ ...profile?.preferences?.topics, ...profile?.preferences?.categories });
  topAffinities.sort(([, left], [, right]) => right - left);
  $("inferred").replaceChildren(...topAffinities.slice(0, MAX_SHOWN).map(([name, share]) => bar(name, share, share.toFixed(2), "var(--part-0)")));
  const unknown = profile === null ? "No events yet" : "This could not be read.";
  $("inferred-note").textContent = profile ? `Learned from ${profile.total_interactions} interactions` : unknown;
}

function showDecisions(notifications) {
  const lines = notifications.slice(0, MAX_SHOWN).map((one) => {
    const line = element("li");
    line.append(element("b", "", one.title || one.item_id || "Message"), element("span", "quiet", STATUS_LABELS[one.status] ?? one.status));
    return line;
  });
  $("decisions").replaceChildren(...(lines.length ? lines : [element("li", "quiet", "No decisions yet.")]));
}

function showSession() {
  $("sign-out").hidden = !signedIn();
  $("signed").textContent = signedIn() ? `Signed in${subject() ? ` as ${subject()}` : ""}.` : "Not signed in. In development, no token is needed: choose a user above.";
}

const splitList = (text) => text.split(",").map((word) => word.trim()).filter(Boolean);

for (const name of ["change", "loaded"]) {
  $("push").addEventListener(name, () => ($("quiet-fields").disabled = !$("push").elements.quiet.checked));
}

$("session").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(event.target.elements.token.value);
  event.target.reset();
  onSessionChange();
});

$("sign-out").addEventListener("click", () => {
  signOut();
  onSessionChange();
});

// The whole content may now belong to another user.
function onSessionChange() {
  dispatchEvent(new CustomEvent("session", { detail: subject() }));
}
