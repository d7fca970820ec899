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
  if (answer.usage) {
    const { prompt_tokens: prompt, completion_tokens: generated, prompt_tokens_details: details } = answer.usage;
    const cached = details.cached_tokens > 0 ? ` (${details.cached_tokens} reused)` : "";
    found.push(`${prompt} tokens in${cached}, ${generated} out`);
  }
  return found.join(" · ");
}

/** A duration in words, with two digits. */
export function seconds(value) {
  if (value < 0.095) return `${Math.max(10, Math.round(value * 100) * 10)} ms`;
  if (value < 9.95) return `${Number(value.toPrecision(2))} s`;
  return value < 90 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}

/** Adds a turn to the transcript. `onCurl` copies its request. */
export function addTurn(transcript, media, question, onCurl) {
  const text = element("p", { className: "text" });
  const known = element("span");
  const copy = element("button", { type: "button", className: "quiet", textContent: "Copy as curl" });
  copy.addEventListener("click", () => onCurl(copy));
  const footer = element("footer", { className: "facts" }, known);
  const answer = element("div", { className: "answer" }, text, footer);
  answer.setAttribute("aria-busy", "true");
  const asked = element("div", { className: "question" });
  if (media.length > 0) {
    asked.append(element("div", { className: "media" }, ...media.map((medium) => show(medium, true))));
  }
  asked.append(element("p", { textContent: question }));
  const turn = element("article", {}, asked, answer);
  transcript.append(turn);
  return {
    setText: (value) => (text.textContent = value),
    finish(complete) {
      text.textContent = complete.text || (complete.finish === "stopped" ? "" : "(no answer)");
      known.textContent = facts(complete);
      footer.append(copy);
      answer.removeAttribute("aria-busy");
    },
    remove: () => turn.remove(),
  };
}
