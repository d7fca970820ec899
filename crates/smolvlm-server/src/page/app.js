// The page: connects the question box, the conversation, the camera and the server.

import { ApiError, chat, get, onKeyNeeded } from "./api.js";
import { Camera } from "./camera.js";
import { Composer } from "./composer.js";
import { toCurl } from "./curl.js";
import { Estimate } from "./estimate.js";
import { drawExample } from "./example.js";
import { content, release } from "./media.js";
import { addTurn } from "./turn.js";

const $ = (selector) => document.querySelector(selector);

/** Time between two looks at a server that is not ready, in milliseconds. */
const POLL = 1000;

/** Maximum number of prompt tokens. */
let context = Infinity;
let isReady = false;
/** The conversation so far: messages, their media, and the number of tokens after the last answer. */
let conversation = { messages: [], media: [], tokens: 0 };
/** Ends the answer that is running. */
let running = null;

const estimate = new Estimate((text, isTooLong) => {
  $("#estimate").textContent = text;
  $("#estimate").classList.toggle("warning", isTooLong);
});
const composer = new Composer({ onChange: refresh, onProblem: problem, onSend: ask });
const camera = new Camera({
  question: (media) => composer.text || composer.usual(media),
  addFiles: (files) => composer.add(files),
  problem,
  changed: refresh,
});

/** Shows a problem beside the question; an empty text removes it. */
function problem(text) {
  $("#error").textContent = text;
}

/** The message that would be sent now, or null without a question. */
function nextMessage({ text, media }) {
  const question = text || composer.usual(media);
  if (question === "") return null;
  return { role: "user", content: [...media.map(content), { type: "text", text: question }] };
}

/** Brings everything that depends on the question up to date. */
function refresh() {
  const isEmpty = conversation.messages.length === 0 && running === null;
  $("#welcome").hidden = !isEmpty || camera.isOpen;
  const hint = isEmpty ? "Ask about the picture" : "Ask another question";
  $("#question").placeholder = composer.usual() || hint;
  $("#new").disabled = isEmpty && composer.media.length === 0;
  const message = nextMessage(composer);
  $("#send").disabled = !isReady || composer.isLoading || (message === null && !camera.isOpen);
  $("#send").hidden = running !== null;
  $("#stop").hidden = running === null;
  const isCounted = message !== null && isReady && running === null;
  // The picture of the camera is not there yet.
  if (!isCounted || (camera.isOpen && composer.media.length === 0)) {
    estimate.cancel();
    $("#estimate").textContent = "";
    return;
  }
  estimate.update([...conversation.messages, message], conversation.tokens, context);
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
  const message = nextMessage(composer);
  if (message === null || abort.signal.aborted) {
    running = null;
    return refresh();
  }
  const asked = composer.take();
  const request = { messages: [...here.messages, message] };
  const media = [...here.media, ...asked.media];
  const turn = addTurn($("#transcript"), asked.media, message.content.at(-1).text, (button) =>
    copy(button, toCurl(request, media)),
  );
  problem("");
  refresh();
  follow(true);
  try {
    const answer = await chat(request, abort.signal, (text) => {
      const isAtEnd = isScrolledToEnd();
      turn.setText(text);
      follow(isAtEnd);
    });
    if (here !== conversation) return asked.media.forEach(release);
    const isAtEnd = isScrolledToEnd();
    turn.finish(answer);
    follow(isAtEnd);
    const messages = [...request.messages, { role: "assistant", content: answer.text }];
    conversation = { messages, media, tokens: answer.usage?.total_tokens ?? 0 };
  } catch (error) {
    if (here !== conversation) return asked.media.forEach(release);
    turn.remove();
    composer.putBack(asked);
    problem(explain(error));
  } finally {
    if (running === abort) running = null;
    refresh();
    composer.focus();
  }
}

/** An error in words for the user. */
function explain(error) {
  if (!(error instanceof ApiError)) throw error;
  const again = error.retryAfter === null ? "" : ` (in ${error.retryAfter} s)`;
  return error.message.charAt(0).toUpperCase() + error.message.slice(1) + again;
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
  conversation = { messages: [], media: [], tokens: 0 };
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
