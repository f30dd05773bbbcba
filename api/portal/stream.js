// Server-sent events over fetch, which, unlike EventSource, can show a token.

const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
const SILENCE_MS = 40_000; // the server says something every 15 s
const FIELD = /^(\w+): ?(.*)$/;

// Follow a stream. `onEvent` gets each event as { event, id, data }, `onState` one of connecting, live, lost, refused.
export function followEvents(connect, { onEvent, onState }) {
  let current = null;
  let timer = 0;
  let silence = 0;
  let failures = 0;
  let live = false;
  let last = "";

  const stop = () => {
    current?.abort();
    clearTimeout(timer);
    clearTimeout(silence);
    live = false;
  };
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(open, SILENCE_MS);
  };
  const open = async () => {
    stop();
    const mine = (current = new AbortController());
    try {
      const response = await connect({ signal: mine.signal, last });
      failures = 0;
      live = true;
      heard();
      onState("live");
      for await (const event of eventsOf(response.body, heard)) {
        last = event.id ?? last;
        onEvent(event);
      }
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        stop();
        onState("refused");
        return;
      }
    }
    if (mine.signal.aborted) return;
    stop();
    onState("lost");
    timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
  const now = () => {
    failures = 0;
    if (!live) open();
  };
  const visible = () => document.visibilityState === "visible" && now();
  addEventListener("online", now);
  document.addEventListener("visibilitychange", visible);
  onState("connecting");
  open();
  return {
    retry: now,
    close() {
      stop();
      removeEventListener("online", now);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}

async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = eventOf(block);
      if (event.data) yield event;
    }
  }
}

function eventOf(block) {
  const event = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === "data" && event.data !== undefined) event.data += `\n${value}`;
    else if (name) event[name] = value;
  }
  return event;
}
