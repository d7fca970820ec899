// The page: connects the question box, the conversation, the camera and the server.

import { ApiError, chat, decide, get, onKeyNeeded } from "./api.js";
import { Camera } from "./camera.js";
import { Composer } from "./composer.js";
import { toCurl } from "./curl.js";
import { DecisionView, decisionFacts, inWords } from "./decision.js";
import { Estimate } from "./estimate.js";
import { drawExample } from "./example.js";
import { content, release } from "./media.js";
import { TextView, addTurn, facts } from "./turn.js";

const $ = (selector) => document.querySelector(selector);

/** Time between two looks at a server that is not ready, in milliseconds. */
const POLL = 1000;

/** Maximum number of prompt tokens. */
let context = Infinity;
let isReady = false;
/**
 * The conversation so far: messages; what the user's next message begins with, the pictures that decisions were about;
 * the media of both; and the number of tokens that the server has read.
 */
let conversation = newConversation();
/** Ends the answer that is running. */
let running = null;

const estimate = new Estimate((text, isTooLong) => {
  $("#estimate").textContent = text;
  $("#estimate").classList.toggle("warning", isTooLong);
});
const composer = new Composer({ onChange: refresh, onProblem: problem, onSend: ask });
const camera = new Camera({
  ask: askLive,
  addFiles: (files) => composer.add(files),
  problem,
  explain,
  changed: refresh,
});

/** Shows a problem beside the question; an empty text removes it. */
function problem(text) {
  $("#error").textContent = text;
}

function newConversation() {
  return { messages: [], begun: [], media: [], tokens: 0 };
}

/** The request that continues a conversation, or null without a question. */
function nextRequest({ messages, begun }, { text, media, questions }) {
  const parts = [...begun, ...media.map(content)];
  if (questions !== null) {
    if (questions.every(({ question }) => question === "")) return null;
    // The server requires a message, and its parts not to be empty.
    return { messages: [...messages, { role: "user", content: parts.length > 0 ? parts : "" }], questions };
  }
  const question = text || composer.usual(media);
  if (question === "") return null;
  return { messages: [...messages, { role: "user", content: [...parts, { type: "text", text: question }] }] };
}

/** The conversation after the answer to a request. Decisions do not depend on each other, and are no part of it. */
function continued({ messages, media, tokens }, { request, asked, answer }) {
  const all = [...media, ...asked.media];
  if (request.questions) {
    const read = Math.max(tokens, answer.usage.prompt_tokens_details.image_tokens);
    return { messages, begun: [...request.messages.at(-1).content], media: all, tokens: read };
  }
  const answered = [...request.messages, { role: "assistant", content: answer.text }];
  return { messages: answered, begun: [], media: all, tokens: answer.usage?.total_tokens ?? 0 };
}

/** Brings everything that depends on the question up to date. */
function refresh() {
  const isEmpty = !$("#transcript").hasChildNodes() && running === null;
  $("#welcome").hidden = !isEmpty || camera.isOpen;
  const hint = isEmpty ? "Ask about the picture" : "Ask another question";
  $("#question").placeholder = composer.usual() || hint;
  $("#new").disabled = isEmpty && composer.media.length === 0;
  const request = nextRequest(conversation, composer);
  // Sending takes a picture, about which there is a usual question.
  const takesPicture = camera.isOpen && composer.questions === null;
  $("#send").disabled = !isReady || composer.isLoading || (request === null && !takesPicture);
  $("#send").hidden = running !== null;
  $("#stop").hidden = running === null;
  const isCounted = request !== null && isReady && running === null;
  // The picture of the camera is not there yet.
  if (!isCounted || (camera.isOpen && composer.media.length === 0)) {
    estimate.cancel();
    $("#estimate").textContent = "";
    return;
  }
  estimate.update(request, conversation.tokens, context);
}

async function ask() {
  if (running !== null || $("#send").disabled) return;
  const here = conversation;
  const abort = new AbortController();
  running = abort;
  if (camera.isOpen && composer.media.length === 0) {
    try {
      await camera.take();
    } catch {
      running = null;
      problem("The camera gave no picture");
      return refresh();
    }
    camera.close();
  }
  const request = nextRequest(here, composer);
  if (request === null || abort.signal.aborted) {
    running = null;
    return refresh();
  }
  const asked = composer.take();
  const isDecision = request.questions !== undefined;
  const view = isDecision ? new DecisionView(request.questions) : new TextView();
  const text = isDecision ? "" : request.messages.at(-1).content.at(-1).text;
  const turn = addTurn($("#transcript"), asked.media, text, view, (button) =>
    copy(button, toCurl(request, [...here.media, ...asked.media])),
  );
  const takeBack = () => {
    turn.remove();
    composer.putBack(asked);
  };
  problem("");
  refresh();
  follow(true);
  try {
    const answer = await send(request, abort.signal, (text) => {
      const isAtEnd = isScrolledToEnd();
      view.set(text);
      follow(isAtEnd);
    });
    if (here !== conversation) return asked.media.forEach(release);
    if (answer === null) return takeBack();
    const isAtEnd = isScrolledToEnd();
    turn.finish(answer);
    follow(isAtEnd);
    conversation = continued(here, { request, asked, answer });
  } catch (error) {
    if (here !== conversation) return asked.media.forEach(release);
    takeBack();
    problem(explain(error));
  } finally {
    if (running === abort) running = null;
    refresh();
    composer.focus();
  }
}

/** Sends a request, whose answer is null if it was aborted before there was any. */
function send(request, signal, onText) {
  return request.questions ? decide(request, signal) : chat(request, signal, onText);
}

/** Asks about a picture of the camera, apart from the conversation. */
async function askLive(medium, signal, onText) {
  const { text, questions } = composer;
  const request = nextRequest(newConversation(), { text, media: [medium], questions });
  if (request === null || !$("#composer").checkValidity()) throw new ApiError("Fill out the questions first", 0);
  const answer = await send(request, signal, onText);
  if (answer === null || answer.finish === "stopped") return null;
  if (request.questions) return { text: inWords(answer), facts: decisionFacts(answer) };
  return { text: answer.text, facts: facts(answer) };
}

/** An error in words for the user, who counts questions from 1. */
function explain(error) {
  if (!(error instanceof ApiError)) throw error;
  const numbered = (_, index, dot) => `question ${Number(index) + 1}${dot ? ": " : ""}`;
  const message = error.message.replace(/^questions\[(\d+)\](\.?)/, numbered);
  const again = error.retryAfter === null ? "" : ` (in ${error.retryAfter} s)`;
  return message.charAt(0).toUpperCase() + message.slice(1) + again;
}

function isScrolledToEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("main");
  return scrollHeight - scrollTop - clientHeight < 80;
}

/** Keeps the end of the conversation in view, unless the user reads something above. */
function follow(isWanted) {
  if (isWanted) $("main").scrollTop = $("main").scrollHeight;
}

function startAnew() {
  running?.abort();
  running = null;
  if (camera.isOpen) camera.close();
  [...conversation.media, ...composer.take().media].forEach(release);
  conversation = newConversation();
  $("#transcript").replaceChildren();
  problem("");
  refresh();
  composer.focus();
}

/** Copies a text, or shows it where browsers do not allow that: they do on localhost and over https only. */
async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy as curl"), 1500);
  } catch {
    $("#copy-text").value = text;
    $("#copy-dialog").showModal();
    $("#copy-text").select();
  }
}

function askForKey(trouble) {
  const dialog = $("#key-dialog");
  $("#key-problem").textContent = trouble;
  $("#key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "" ? null : dialog.returnValue);
    dialog.addEventListener("close", close, { once: true });
  });
}

$("#key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("#key").value.trim();
  // Other characters cannot be sent in a header.
  if (/^[\x21-\x7e]+$/.test(key)) $("#key-dialog").close(key);
  else $("#key-problem").textContent = "A key has letters, digits and signs of ASCII only.";
});
$("#key-cancel").addEventListener("click", () => $("#key-dialog").close(""));

function buttons(action) {
  return document.querySelectorAll(`[data-action=${action}]`);
}

const actions = {
  choose: () => composer.choose(),
  camera: () => camera.open(),
  example: async () => composer.add([await drawExample()]),
};
for (const [name, act] of Object.entries(actions)) {
  buttons(name).forEach((button) => button.addEventListener("click", act));
}
$("#enter-key").addEventListener("click", () => {
  $("#enter-key").hidden = true;
  connect();
});
$("#stop").addEventListener("click", () => running?.abort());
$("#new").addEventListener("click", startAnew);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) running?.abort();
});

/** Waits for the server and shows its model. */
async function connect() {
  const status = $("#model");
  const label = $("#model-name");
  for (;;) {
    try {
      const props = await get("props");
      context = props.default_generation_settings.n_ctx;
      label.textContent = props.model_alias;
      status.className = "ready";
      composer.setQuestions(props.default_prompts);
      buttons("example").forEach((button) => (button.hidden = props.model_alias !== "demo"));
      isReady = true;
      return refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      label.textContent = error.message;
      // The user has closed the dialog.
      if (error.status === 401) {
        $("#enter-key").hidden = false;
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

onKeyNeeded(askForKey);
refresh();
connect();
