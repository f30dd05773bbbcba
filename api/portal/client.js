// The API as this page uses it: read a feed, follow it, say what the person did.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, messageOf(body) ?? `The server answered ${response.status}.`);
  return body;
}

function messageOf(body) {
  const error = body?.error ?? body;
  return [error?.message, error?.detail, error?.title].find((text) => typeof text === "string");
}

export const readUsers = () => request("/demo/users");

export const readFeed = (userId) => request(`/content?user_id=${encodeURIComponent(userId)}`);

export function act(userId, itemId, action) {
  return request("/interaction", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({
      event_id: uuid7(),
      user_id: userId,
      item_id: itemId,
      action,
      occurred_at: Date.now(),
      context: { surface: "portal" },
    }),
  });
}

// Follow a person's feed. `onFeed` gets each feed, `onState` one of connecting, live, lost.
// EventSource gives up for good on an error answer, so it is opened again here, later each time.
export function follow(userId, { onFeed, onState }) {
  let source = null;
  let timer = 0;
  let failures = 0;
  let closed = false;

  const receive = (event) => {
    failures = 0;
    onState("live");
    if (!event.data) return;
    try {
      const feed = JSON.parse(event.data);
      if (Array.isArray(feed?.items)) onFeed(feed);
    } catch {
      // not a feed: a heartbeat, or an event of a later server
    }
  };
  const open = () => {
    if (closed) return;
    source?.close();
    source = new EventSource(`/content/stream?user_id=${encodeURIComponent(userId)}`);
    source.onopen = () => {
      failures = 0;
      onState("live");
    };
    source.onmessage = receive;
    source.addEventListener("feed", receive);
    source.onerror = () => {
      if (closed) return;
      onState("lost");
      source.close();
      clearTimeout(timer);
      timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
    };
  };
  const now = () => {
    failures = 0;
    clearTimeout(timer);
    if (!source || source.readyState !== EventSource.OPEN) open();
  };
  const visible = () => document.visibilityState === "visible" && now();
  addEventListener("online", now);
  document.addEventListener("visibilitychange", visible);
  onState("connecting");
  open();
  return {
    retry: now,
    close() {
      closed = true;
      source?.close();
      clearTimeout(timer);
      removeEventListener("online", now);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}

// crypto.randomUUID makes version 4 and needs https or localhost; events carry version 7, whose start is the time.
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
