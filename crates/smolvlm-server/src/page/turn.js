// A question and its answer in the conversation.

import { show } from "./media.js";

/** Creates an element with properties and children. */
export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

/** What is known about an answer when it is complete. */
export function facts(answer) {
  const found = [];
  if (answer.finish === "stopped") found.push("stopped");
  if (answer.finish === "length") found.push("ended at the length limit");
  if (answer.firstWord !== null) found.push(`first word after ${seconds(answer.firstWord)}`);
  if (answer.timings?.predicted_per_second > 0) {
    found.push(`${Math.round(answer.timings.predicted_per_second)} tokens/s`);
  }
  if (answer.usage) found.push(`${promptTokens(answer.usage)}, ${answer.usage.completion_tokens} out`);
  return found.join(" · ");
}

/** The number of tokens that were read. */
export function promptTokens({ prompt_tokens: prompt, prompt_tokens_details: details }) {
  const cached = details.cached_tokens > 0 ? ` (${details.cached_tokens} reused)` : "";
  return `${prompt} tokens in${cached}`;
}

/** A duration in words, with two digits. */
export function seconds(value) {
  if (value < 0.095) return `${Math.max(10, Math.round(value * 100) * 10)} ms`;
  if (value < 9.95) return `${Number(value.toPrecision(2))} s`;
  return value < 90 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}

/** A text that is generated, as content of a turn. */
export class TextView {
  element = element("p", { className: "text" });

  set(text) {
    this.element.textContent = text;
  }

  /** Shows the complete answer, and returns what is known about it. */
  finish(answer) {
    this.set(answer.text || (answer.finish === "stopped" ? "" : "(no answer)"));
    return facts(answer);
  }
}

/**
 * Adds a turn to the transcript: media and a text of the user, and the view of the answer, which has an `element` and
 * `finish(answer)`. `onCurl` copies the turn's request.
 */
export function addTurn(transcript, media, text, view, onCurl) {
  const known = element("span");
  const copy = element("button", { type: "button", className: "quiet", textContent: "Copy as curl" });
  copy.addEventListener("click", () => onCurl(copy));
  const footer = element("footer", { className: "facts" }, known);
  const answer = element("div", { className: "answer" }, view.element, footer);
  answer.setAttribute("aria-busy", "true");
  const asked = element("div", { className: "question" });
  if (media.length > 0) {
    asked.append(element("div", { className: "media" }, ...media.map((medium) => show(medium, true))));
  }
  if (text !== "") asked.append(element("p", { textContent: text }));
  const turn = element("article", {}, asked, answer);
  transcript.append(turn);
  return {
    finish(result) {
      known.textContent = view.finish(result);
      footer.append(copy);
      answer.removeAttribute("aria-busy");
    },
    remove: () => turn.remove(),
  };
}
