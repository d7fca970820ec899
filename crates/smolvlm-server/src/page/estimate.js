// Tiles, tokens and seconds of a question before it is sent.

import { ApiError, post } from "./api.js";
import { seconds } from "./turn.js";

/** Pause after the last change, in milliseconds. */
const PAUSE = 350;
/** The server reads the headers of pictures only, which are in the first characters of their base64. */
const HEAD = 4 * 32768;

export class Estimate {
  #timer = null;
  #abort = new AbortController();
  #show;

  constructor(show) {
    this.#show = show;
  }

  cancel() {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** Shows the cost of a request soon. `known` tokens of it were computed for the last answer, `context` fit. */
  update(request, known, context) {
    this.cancel();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#timer = setTimeout(async () => {
      try {
        const response = await post("v1/chat/completions/input_tokens", { messages: heads(messages(request)) }, signal);
        const counts = await response.json();
        if (!signal.aborted) this.#show(this.#text(counts, request, known, context), counts.input_tokens > context);
      } catch (error) {
        // An estimate is no reason to disturb: the answer will tell what is wrong.
        if (error instanceof ApiError) this.#show("", false);
      }
    }, PAUSE);
  }

  #text(counts, request, known, context) {
    const tokens = counts.input_tokens;
    const found = counts.tiles > 0 ? [plural(counts.tiles, "tile")] : [];
    found.push(plural(tokens, "token"));
    if (tokens > context) return `${found.join(" · ")} · too long: the model reads ${context} tokens`;
    // The server has measured earlier prompts, without what it reused.
    const share = Math.max(1, tokens - known) / tokens;
    const event = request.questions ? "decision" : "first word";
    if (counts.seconds !== null) found.push(`${event} in ${seconds(share * counts.seconds)}`);
    return found.join(" · ");
  }
}

function plural(count, noun) {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** The messages of a request, with all questions of decisions as one text. */
function messages({ messages, questions }) {
  if (!questions) return messages;
  const { role, content } = messages.at(-1);
  const text = questions.map(({ question }) => question).join("\n");
  return [...messages.slice(0, -1), { role, content: [...content, { type: "text", text }] }];
}

/** Messages with shortened pictures. */
function heads(messages) {
  const head = (_, value) => {
    const isData = typeof value === "string" && value.startsWith("data:");
    return isData ? value.slice(0, value.indexOf(",") + 1 + HEAD) : value;
  };
  return JSON.parse(JSON.stringify(messages, head));
}
