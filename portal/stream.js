// Server-sent events over fetch, which, unlike EventSource, can send a token.

const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
const SILENCE_MS = 40_000; // the server sends a ping every 15 s
const LINE_END = /\r\n|\n|\r/; // nothing else: U+2028 and the like may occur in item texts

// Follow a stream. `onEvent` receives { event, id, data }, `onState` one of connecting, live, lost, refused.
export function followEvents(connect, { onEvent, onState }) {
  let current = null;
  let timer = 0;
  let silenceTimer = 0;
  let failures = 0;
  let isLive = false;
  let lastEventId = "";

  const stop = () => {
    current?.abort();
    clearTimeout(timer);
    clearTimeout(silenceTimer);
    isLive = false;
  };
  const onData = () => {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(open, SILENCE_MS);
  };
  const open = async () => {
    stop();
    const controller = (current = new AbortController());
    try {
      const response = await connect({ signal: controller.signal, lastEventId });
      failures = 0;
      isLive = true;
      onData();
      onState("live");
      for await (const event of eventsOf(response.body, onData)) {
        lastEventId = event.id ?? lastEventId;
        onEvent(event);
      }
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        stop();
        onState("refused");
        return;
      }
    }
    if (controller.signal.aborted) return;
    stop();
    onState("lost");
    timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
  const retryNow = () => {
    failures = 0;
    if (!isLive) open();
  };
  const onVisibilityChange = () => document.visibilityState === "visible" && retryNow();
  addEventListener("online", retryNow);
  document.addEventListener("visibilitychange", onVisibilityChange);
  onState("connecting");
  open();
  return {
    retry: retryNow,
    close() {
      stop();
      removeEventListener("online", retryNow);
      document.removeEventListener("visibilitychange", onVisibilityChange);
    },
  };
}

async function* eventsOf(body, onData) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = eventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onData();
    yield* parse(value);
  }
}

// Return a function that receives the text of a stream in chunks of any size and yields the events completed by each
// chunk (HTML, section 9.2.6: interpreting an event stream).
export function eventParser() {
  let incompleteLine = "";
  let endsWithCr = false;
  let event = {};
  let id;
  return function* (chunk) {
    if (!chunk) return;
    const text = endsWithCr && chunk.startsWith("\n") ? chunk.slice(1) : chunk; // the second half of a split CR LF
    endsWithCr = text.endsWith("\r");
    const lines = (incompleteLine + text).split(LINE_END);
    incompleteLine = lines.pop();
    for (const line of lines) {
      if (!line) {
        if (event.data !== undefined) yield { event: "message", ...event, id };
        event = {};
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      else if (name === "event") event.event = value;
      else if (name === "id" && !value.includes("\0")) id = value;
    }
  };
}
