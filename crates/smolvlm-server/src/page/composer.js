// The question box: a text or questions with known answers, and pictures that are chosen, dropped or pasted.

import { load, release, show } from "./media.js";
import { Questions } from "./questions.js";
import { element } from "./turn.js";

const QUESTIONS = {
  image: "Can you describe this image?",
  images: "Can you describe these images?",
  video: "Can you describe this video?",
};

export class Composer {
  /** The pictures and videos of the next question. */
  media = [];
  #box = document.querySelector("#question");
  #list = document.querySelector("#pictures");
  #files = document.querySelector("#files");
  #decide = document.querySelector("#decide");
  #questions;
  #usual = QUESTIONS;
  #loading = 0;
  #onChange;
  #onProblem;

  /** Calls `onChange` when the question changes, `onProblem` with texts for the user, and `onSend`. */
  constructor({ onChange, onProblem, onSend }) {
    this.#onChange = onChange;
    this.#onProblem = onProblem;
    const edited = () => {
      onProblem("");
      onChange();
    };
    this.#questions = new Questions(edited);
    this.#box.addEventListener("input", edited);
    for (const mode of document.querySelectorAll("[name=mode]")) {
      mode.addEventListener("change", () => {
        this.#showMode();
        edited();
      });
    }
    this.#showMode();
    this.#box.addEventListener("keydown", (event) => {
      // Shift+Enter is a new line. While letters are being composed, Enter completes them.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      onSend();
    });
    document.querySelector("#composer").addEventListener("submit", (event) => {
      event.preventDefault();
      onSend();
    });
    this.#files.addEventListener("change", () => {
      this.add(this.#files.files, true);
      this.#files.value = "";
    });
    document.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length === 0) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
    this.#acceptDrops();
  }

  /** Opens the dialog for files. */
  choose() {
    this.#files.click();
  }

  /** Focuses the box, except on phones, whose keyboards would cover the answer. */
  focus() {
    if (!matchMedia("(pointer: fine)").matches) return;
    if (this.questions === null) this.#box.focus();
    else this.#questions.focus();
  }

  /** Sets the questions that the checkpoint was trained with. */
  setQuestions(questions) {
    for (const kind of Object.keys(QUESTIONS)) {
      this.#usual = { ...this.#usual, [kind]: questions[kind] ?? QUESTIONS[kind] };
    }
    this.#changed();
  }

  /** The question for some media if the user types none: empty without media. */
  usual(media = this.media) {
    if (media.length === 0) return "";
    if (media.some((medium) => medium.kind === "video")) return this.#usual.video;
    return media.length > 1 ? this.#usual.images : this.#usual.image;
  }

  /** What the user typed. */
  get text() {
    return this.#box.value.trim();
  }

  /** The questions with known answers, or null if a text is asked. */
  get questions() {
    return this.#questions.isShown ? this.#questions.values : null;
  }

  /** Whether files are being read. */
  get isLoading() {
    return this.#loading > 0;
  }

  /** Adds files; `isSaved` tells whether they are on the user's disk. */
  async add(list, isSaved = false) {
    // The list becomes empty when its event is over.
    const files = [...list];
    this.#onProblem("");
    this.#loading++;
    this.#onChange();
    for (const file of files) {
      try {
        this.media.push(await load(file, isSaved));
        this.#changed();
      } catch (error) {
        this.#onProblem(error.message);
      }
    }
    this.#loading--;
    this.#changed();
    this.focus();
  }

  /** Takes the question out of the box. Questions with known answers stay there for the next pictures. */
  take() {
    const taken = { text: this.text, media: this.media };
    if (this.questions === null) this.#box.value = "";
    this.media = [];
    this.#changed();
    return taken;
  }

  /** Puts a question back that could not be asked. */
  putBack({ text, media }) {
    if (this.text === "") this.#box.value = text;
    this.media = [...media, ...this.media];
    this.#changed();
  }

  #showMode() {
    const isDeciding = this.#decide.checked;
    this.#box.hidden = isDeciding;
    this.#questions.show(isDeciding);
    if (isDeciding) this.#questions.suggest(this.text);
  }

  #changed() {
    this.#list.replaceChildren(...this.media.map((medium) => this.#thumbnail(medium)));
    this.#list.hidden = this.media.length === 0;
    this.#onChange();
  }

  #thumbnail(medium) {
    const icon = document.querySelector("#camera .round svg").cloneNode(true);
    const remove = element("button", { type: "button", className: "round", title: "Remove" }, icon);
    remove.setAttribute("aria-label", `Remove ${medium.name}`);
    remove.addEventListener("click", () => {
      this.media = this.media.filter((other) => other !== medium);
      release(medium);
      this.#changed();
      this.focus();
    });
    const item = element("li", {}, show(medium, false));
    if (medium.kind === "video") {
      item.append(element("span", { className: "badge", textContent: `${medium.parts.length} frames` }));
    }
    item.append(remove);
    return item;
  }

  #acceptDrops() {
    const mark = (isOver) => document.body.classList.toggle("dropping", isOver);
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      mark(true);
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) mark(false);
    });
    document.addEventListener("drop", (event) => {
      mark(false);
      if (event.dataTransfer.files.length === 0) return;
      event.preventDefault();
      this.add(event.dataTransfer.files, true);
    });
  }
}
