// Requests to the server. All paths are relative, so that a proxy may serve everything under a prefix.

const STORED_KEY = "smolvlm-api-key";

/** A response with an error status, or none at all (status 0). */
export class ApiError extends Error {
  constructor(message, status, retryAfter = null) {
    super(message);
    this.status = status;
    /** Seconds after which to try again, if the server gave a number. */
    this.retryAfter = retryAfter;
  }
}

/** Asks for the API key: a function of the key's problem, which resolves to a key or to null. Set by the page. */
let askForKey = async () => null;
let asking = null;

export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function hasKey() {
  return sessionStorage.getItem(STORED_KEY) !== null;
}

/** Whether there is another key to try than `used`. Requests that fail together ask once. */
async function newKey(used) {
  if (sessionStorage.getItem(STORED_KEY) === used) {
    asking ??= askForKey(used === null ? "" : "This key is not valid.").finally(() => (asking = null));
    const key = await asking;
    if (key === null) return false;
    sessionStorage.setItem(STORED_KEY, key);
  }
  return true;
}

async function failure(response) {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After"), 10);
  const text = await response.text();
  let message = null;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Proxies answer in HTML.
  }
  message ??= `The server answered ${response.status} ${response.statusText}`.trimEnd();
  return new ApiError(message, response.status, Number.isNaN(retryAfter) ? null : retryAfter);
}

async function request(path, init) {
  for (;;) {
    const key = sessionStorage.getItem(STORED_KEY);
    const headers = { ...init.headers };
    if (key !== null) headers.Authorization = `Bearer ${key}`;
    let response;
    try {
      response = await fetch(path, { ...init, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The server does not answer", 0);
    }
    if (response.ok) return response;
    if (response.status === 401 && (await newKey(key))) continue;
    throw await failure(response);
  }
}

/** The JSON at a path. */
export async function get(path) {
  return (await request(path, {})).json();
}

/** The response to a JSON body. */
export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/**
 * The decisions on questions with known answers, and the duration of the request in seconds; null if aborted, which
 * cancels the work on the server.
 */
export async function decide(body, signal) {
  const start = performance.now();
  try {
    const response = await post("v1/decisions", body, signal);
    const answer = await response.json();
    return { ...answer, duration: (performance.now() - start) / 1000 };
  } catch (error) {
    if (signal.aborted) return null;
    if (error instanceof ApiError) throw error;
    throw new ApiError("The connection was lost", 0);
  }
}

/** The data of server-sent events, each of which is one line. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ")) yield line.slice(6);
    }
  }
}

/**
 * Streams an answer and calls `onText` with the text so far. Aborting closes the connection, which ends the generation
 * on the server; the answer is then the text so far with the finish reason "stopped".
 */
export async function chat(body, signal, onText) {
  const start = performance.now();
  const answer = { text: "", finish: null, usage: null, timings: null, firstWord: null };
  try {
    const options = { stream: true, stream_options: { include_usage: true } };
    const response = await post("v1/chat/completions", { ...body, ...options }, signal);
    for await (const data of events(response)) {
      if (data === "[DONE]") return answer;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, 500);
      if (chunk.usage) {
        answer.usage = chunk.usage;
        answer.timings = chunk.timings;
      }
      const choice = chunk.choices[0];
      answer.finish = choice?.finish_reason ?? answer.finish;
      if (choice?.delta.content) {
        answer.firstWord ??= (performance.now() - start) / 1000;
        answer.text += choice.delta.content;
        onText(answer.text);
      }
    }
    throw new ApiError("The connection ended before the answer was complete", 0);
  } catch (error) {
    if (signal.aborted) return { ...answer, finish: "stopped" };
    if (error instanceof ApiError) throw error;
    throw new ApiError("The connection was lost", 0);
  }
}
