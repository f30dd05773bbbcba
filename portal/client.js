// The page's API client: read a feed, follow its updates, publish interactions.

import { Metrics } from "./metrics.js";
import { authorization } from "./session.js";
import { followEvents } from "./stream.js";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const READ_MS = 10_000;

async function fetchOk(path, { headers = {}, ...options } = {}) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json", ...authorization(), ...headers }, ...options });
  } catch {
    throw new ApiError(0, "The server is unreachable.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new ApiError(response.status, messageOf(body) ?? `The server responded with status ${response.status}.`);
}

const request = async (path, options) => (await fetchOk(path, options)).json();

const send = async (path, body, method = "POST") => (await sendJson(path, body, method)).json();

const sendJson = (path, body, method, headers = {}) =>
  fetchOk(path, { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

// Read stored values with their entity tag: a change with the tag is rejected if the values have changed since.
async function readWithTag(path) {
  const response = await fetchOk(path, { signal: AbortSignal.timeout(READ_MS) });
  return { body: await response.json(), tag: response.headers.get("ETag") };
}

async function change(path, changes, { method, tag }) {
  const response = await sendJson(path, changes, method, tag ? { "If-Match": tag } : {});
  return response.headers.get("ETag");
}

function messageOf(body) {
  const error = body?.error ?? body;
  return [error?.message, error?.detail, error?.title].find((text) => typeof text === "string");
}

export const readUsers = () => request("/demo/users");

export const readFakes = () => request("/demo/simulated");

export const readFeed = (userId) => request(`/content?user_id=${encodeURIComponent(userId)}`);

export const readMoods = () => request("/portal/moods");

export const readItem = (itemId) => request(`/items/${encodeURIComponent(itemId)}`);

export const search = (userId, words) =>
  request(`/search?${new URLSearchParams({ q: words, limit: 30, ...(userId && { user_id: userId }) })}`);

export const readProfile = (userId) => request(`/profile/${encodeURIComponent(userId)}`);

const preferencesPath = (userId) => `/api/v1/user-profile/${encodeURIComponent(userId)}/preferences`;

export const readPreferences = (userId) => readWithTag(preferencesPath(userId));

export const changePreferences = (userId, changes, tag) => change(preferencesPath(userId), changes, { method: "PUT", tag });

const pushPath = (userId) => `/push/preferences/${encodeURIComponent(userId)}`;

export const readPush = (userId) => readWithTag(pushPath(userId));

export const changePush = (userId, changes, tag) => change(pushPath(userId), changes, { method: "PATCH", tag });

export const readNotifications = (userId) => request(`/notifications/${encodeURIComponent(userId)}?limit=10`);

export const readHistory = (userId) => request(`/interaction/${encodeURIComponent(userId)}?limit=10`);

export const readModelStatus = () => request("/metrics/models");

export const readExperiments = (limit) => request(`/ab/experiments?limit=${limit}`);

export const readExperimentResults = (experimentId) => request(`/ab/experiments/${encodeURIComponent(experimentId)}/results`);

export const readMetrics = async () => new Metrics(await (await fetchOk("/metrics")).text());

export async function readHealth() {
  const response = await fetch("/health"); // a 503 response also reports the state of each server
  return response.json();
}

export const publish = (userId, fields) =>
  send("/interaction", { event_id: uuid7(), user_id: userId, occurred_at: Date.now(), context: { surface: "portal" }, ...fields });

export const reportShown = (userId, items) =>
  send("/impression", { event_id: uuid7(), user_id: userId, occurred_at: Date.now(), surface: "portal", items });

export const act = (userId, itemId, action) => publish(userId, { item_id: itemId, action });

// Follow a user's feed. `onFeed` receives each feed, `onState` one of connecting, live, lost, refused.
export function follow(userId, { onFeed, onState }) {
  const path = `/content/stream?user_id=${encodeURIComponent(userId)}`;
  const connect = ({ signal, lastEventId }) =>
    fetchOk(path, { signal, headers: { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) } });
  const onEvent = ({ event, data }) => event === "feed" && onFeed(JSON.parse(data));
  return followEvents(connect, { onEvent, onState });
}

// crypto.randomUUID creates version 4 and needs https or localhost; events use version 7, which starts with the time.
function uuid7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let time = Date.now();
  for (let index = 5; index >= 0; index--) {
    bytes[index] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
