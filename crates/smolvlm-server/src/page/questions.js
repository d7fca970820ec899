// Questions with known answers: their fields in the question box.

/** A question of each kind. */
const EXAMPLES = {
  yes_no: "Is there a dog?",
  choice: "What is the weather?",
  number: "How many people are there?",
};

export class Questions {
  #fields = document.querySelector("#questions");
  #list = document.querySelector("#question-list");
  #template = document.querySelector("#question-fields");

  /** Calls `onChange` when a question changes. */
  constructor(onChange) {
    document.querySelector("#add-question").addEventListener("click", () => {
      this.#add();
      onChange();
      const added = this.#list.lastElementChild;
      added.scrollIntoView({ block: "nearest" });
      added.querySelector("[name=text]").focus();
    });
    this.#list.addEventListener("input", (event) => {
      if (event.target.name === "kind") showKind(event.target.closest(".known-question"));
      onChange();
    });
    this.#list.addEventListener("click", (event) => {
      if (!event.target.closest(".remove")) return;
      event.target.closest(".known-question").remove();
      this.#number();
      onChange();
      this.focus();
    });
    this.#add();
  }

  get isShown() {
    return !this.#fields.hidden;
  }

  /** Fields that are not shown are disabled, so that the browser does not ask to fill them out. */
  show(isShown) {
    this.#fields.hidden = this.#fields.disabled = !isShown;
  }

  /** The questions as the server takes them. */
  get values() {
    return [...this.#list.children].map(value);
  }

  /** Sets the first question's text, if it has none. */
  suggest(text) {
    this.#list.querySelector("[name=text]").value ||= text;
  }

  focus() {
    if (!this.#list.contains(document.activeElement)) this.#list.querySelector("[name=text]").focus();
  }

  #add() {
    this.#list.append(this.#template.content.cloneNode(true));
    showKind(this.#list.lastElementChild);
    this.#number();
  }

  #number() {
    [...this.#list.children].forEach((known, index) => known.setAttribute("aria-label", `Question ${index + 1}`));
  }
}

/** Shows the fields of a question's kind only. */
function showKind(known) {
  const kind = known.querySelector("[name=kind]").value;
  known.querySelector("[name=text]").placeholder = EXAMPLES[kind];
  for (const fields of known.querySelectorAll("[data-kind]")) {
    fields.hidden = fields.disabled = fields.dataset.kind !== kind;
  }
}

function value(known) {
  const field = (name) => known.querySelector(`[name=${name}]`);
  const type = field("kind").value;
  const question = { type, question: field("text").value.trim() };
  if (type === "choice") {
    const options = field("options").value.split(",").map((option) => option.trim());
    return { ...question, options: options.filter((option) => option !== "") };
  }
  if (type === "number") return { ...question, min: field("min").valueAsNumber, max: field("max").valueAsNumber };
  return question;
}
