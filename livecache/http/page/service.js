// The service behind the page: one request, one stream of events, and the token that they may need.

const ANSWER_MS = 12_000; // A little more than the service takes at most.
const SILENCE_MS = 15_000; // The service says something every five seconds.
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const TOKEN = "livecache-token";

/** The service answered, and said no. */
export class Refused extends Error {
  constructor(status, { detail, hint = "", kind = "" }) {
    super(detail ?? `the service answers ${status}`);
    this.status = status;
    this.hint = hint;
    this.kind = kind;
  }
}

/** The token is kept for this tab only, and nowhere else: EventSource could not send it, hence fetch. */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** The answer as an object. Raises Refused, or another error where there is no answer. */
export async function get(path, signal) {
  const limit = AbortSignal.timeout(ANSWER_MS);
  const response = await ask(path, signal ? AbortSignal.any([signal, limit]) : limit);
  return response.json();
}

const latest = new Map(); // by path: `{tag, answer}`

/** As `get`, for what is asked for again and again: the very same object as long as the answer is the same. */
export async function getAnew(path) {
  const before = latest.get(path);
  const response = await ask(path, AbortSignal.timeout(ANSWER_MS), before ? { "If-None-Match": before.tag } : {});
  if (response.status === 304) return before.answer;
  const answer = await response.json();
  const tag = response.headers.get("ETag");
  if (tag) latest.set(path, { tag, answer });
  return answer;
}

/** The answer to an order. Raises as `get`. */
export async function post(path, body = {}, method = "POST") {
  const how = method === "POST" ? { method, body: JSON.stringify(body) } : { method };
  const response = await ask(path, AbortSignal.timeout(ANSWER_MS), { "Content-Type": "application/json" }, how);
  return response.json();
}

/** Server-sent events as `{event, data}`, until the stream ends. Raises as `get`; or because it fell silent. */
export async function* events(path, signal) {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(new Error("silence")), SILENCE_MS);
  try {
    const response = await ask(path, AbortSignal.any([signal, silent.signal]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(new Error("silence")), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = fieldsOf(block);
        if (fields.data) yield { event: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    clearTimeout(timer);
    silent.abort(); // Whoever stops listening lets go of the connection.
  }
}

function fieldsOf(block) {
  return Object.fromEntries(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
    }),
  );
}

/** The header that names the token, where this tab has one. */
export function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

async function ask(path, signal, headers = {}, more = {}) {
  const response = await fetch(path, { headers: { ...headers, ...authorization() }, signal, ...more });
  if (response.ok || response.status === 304) return response;
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

/** Once somebody sees the page. */
export async function seen() {
  while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** A signal that comes when nobody sees the page any more. */
export function unseen() {
  const hidden = new AbortController();
  document.addEventListener("visibilitychange", () => hidden.abort(), { once: true });
  return hidden.signal;
}

/** Pauses between attempts: longer with each failure, each a bit different, and cut short by `wake`. */
export class Pause {
  #failures = 0;
  #wake = () => {};

  /** After a failure: 1 s, 2 s, 4 s … 30 s, or up to half of that. */
  async afterFailure() {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    await this.for(longest * (0.5 + Math.random() / 2));
  }

  succeeded() {
    this.#failures = 0;
  }

  async for(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake() {
    this.#wake();
  }
}
