// The camera: takes pictures, or asks the same question about the newest frame again and again.

import { ApiError } from "./api.js";
import { grab, load, release } from "./media.js";
import { element } from "./turn.js";

/** Number of earlier answers that are shown. */
const MAX_LOG = 20;

export class Camera {
  #panel = document.querySelector("#camera");
  #video = this.#panel.querySelector("video");
  #toggle = this.#panel.querySelector("[data-camera=live]");
  #interval = document.querySelector("#interval");
  #answer = document.querySelector("#live-answer");
  #facts = document.querySelector("#live-facts");
  #log = document.querySelector("#live-log");
  #pictures = 0;
  #isOpening = false;
  #live = null;
  #page;

  /**
   * `page` has the functions `ask(medium, signal, onText)`, `addFiles(files)`, `problem(text)`, `explain(error)` and
   * `changed()`. `ask` calls `onText` with the text so far, and resolves to an answer's `text` and `facts`, or to null
   * if aborted.
   */
  constructor(page) {
    this.#page = page;
    const on = (name, act) => this.#panel.querySelector(`[data-camera=${name}]`).addEventListener("click", act);
    on("close", () => this.close());
    on("take", () => this.take());
    on("live", () => (this.#live ? this.#stop() : this.#start()));
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  async open() {
    if (this.isOpen) return this.close();
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      await this.#open();
    } finally {
      this.#isOpening = false;
    }
  }

  async #open() {
    if (!navigator.mediaDevices) {
      return this.#page.problem("Browsers allow the camera on localhost and over https only");
    }
    try {
      const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
      this.#video.srcObject = await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      const isDenied = error.name === "NotAllowedError";
      return this.#page.problem(isDenied ? "The browser does not allow the camera" : "There is no camera to use");
    }
    this.#page.problem("");
    this.#panel.hidden = false;
    this.#page.changed();
    this.#panel.scrollIntoView({ block: "end" });
  }

  close() {
    this.#stop();
    for (const track of this.#video.srcObject?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
    this.#panel.hidden = true;
    this.#answer.textContent = this.#facts.textContent = "";
    this.#log.replaceChildren();
    this.#page.changed();
  }

  #frame() {
    return grab(this.#video, `camera-${++this.#pictures}.jpg`);
  }

  /** Adds the frame of now to the question. */
  async take() {
    if (this.#video.videoWidth > 0) await this.#page.addFiles([await this.#frame()]);
  }

  #stop() {
    this.#live?.abort();
    this.#live = null;
    this.#toggle.textContent = "Keep asking";
    this.#toggle.setAttribute("aria-pressed", "false");
  }

  async #start() {
    const live = new AbortController();
    this.#live = live;
    this.#toggle.textContent = "Stop asking";
    this.#toggle.setAttribute("aria-pressed", "true");
    this.#page.problem("");
    while (!live.signal.aborted) {
      const start = performance.now();
      let pause = Number(this.#interval.value) * 1000;
      try {
        await this.#ask(live.signal);
      } catch (error) {
        if (!(error instanceof ApiError)) {
          this.#stop();
          throw error;
        }
        this.#page.problem(this.#page.explain(error));
        // A server that is busy will have time again; other errors come back.
        if (error.retryAfter === null) return this.#stop();
        pause = Math.max(pause, error.retryAfter * 1000);
      }
      // Without a pause, the page would not be drawn.
      await sleep(Math.max(20, start + pause - performance.now()), live.signal);
      await visible(live.signal);
    }
  }

  /** Asks about the frame of now. Frames of the time in between are never sent. */
  async #ask(signal) {
    if (this.#video.videoWidth === 0) return;
    const medium = await load(await this.#frame(), false);
    release(medium);
    this.#answer.setAttribute("aria-busy", "true");
    const answer = await this.#page.ask(medium, signal, (text) => (this.#answer.textContent = text)).finally(() =>
      this.#answer.removeAttribute("aria-busy"),
    );
    if (answer === null) return;
    this.#page.problem("");
    this.#answer.textContent = answer.text || "(no answer)";
    this.#facts.textContent = answer.facts;
    const time = element("time", { textContent: new Date().toLocaleTimeString() });
    this.#log.prepend(element("li", {}, time, ` ${answer.text}`));
    while (this.#log.children.length > MAX_LOG) this.#log.lastElementChild.remove();
  }
}

/** Waits some milliseconds, or until the signal is aborted. */
function sleep(duration, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, duration);
    signal.addEventListener("abort", end);
  });
}

/** Waits until the tab is visible, since nobody reads the answers of a hidden one. */
function visible(signal) {
  return new Promise((resolve) => {
    if (!document.hidden) return resolve();
    const end = () => {
      document.removeEventListener("visibilitychange", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    document.addEventListener("visibilitychange", end);
    signal.addEventListener("abort", end);
  });
}
