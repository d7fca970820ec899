// Decisions in the conversation: a bar per possible answer.

import { element, promptTokens, seconds } from "./turn.js";

/** Maximum number of bars of a question. The least likely answers become one. */
const MAX_BARS = 12;
/** Probability of all answers together below which their comparison says little. */
const LOW_COVERAGE = 0.5;

/** The answers to questions with known answers, as content of a turn. */
export class DecisionView {
  element = element("div", { className: "decisions" });

  constructor(questions) {
    const figures = questions.map(({ question }) => element("figure", {}, caption(question)));
    this.element.append(...figures);
  }

  /** Shows the answers, and returns what is known about all of them. */
  finish(answer) {
    this.element.replaceChildren(...answer.decisions.map(figure));
    return decisionFacts(answer);
  }
}

/** What is known about decisions. */
export function decisionFacts({ usage, duration }) {
  return `decided in ${seconds(duration)} · ${promptTokens(usage)}`;
}

/** Decisions in words, one per line. */
export function inWords({ decisions }) {
  const line = ({ question, answer, probability, coverage }) => {
    const doubt = coverage < LOW_COVERAGE ? `, coverage ${percent(coverage)}` : "";
    return `${question} ${answer} (${percent(probability)}${doubt})`;
  };
  return decisions.map(line).join("\n");
}

function caption(question, ...answer) {
  return element("figcaption", {}, element("span", { className: "text", textContent: question }), ...answer);
}

function figure(decision) {
  const { question, answer, coverage, expected } = decision;
  const found = element("strong", { textContent: answer });
  if (expected !== undefined) {
    const mean = Number(expected.toPrecision(3));
    found.append(" ", element("small", { textContent: `mean ${mean}` }));
  }
  const shown = element("figure", {}, caption(question, found), element("dl", {}, ...bars(decision)));
  if (coverage < LOW_COVERAGE) {
    const meaning =
      `Coverage ${percent(coverage)}: the model would mostly say something other than these answers, ` +
      "so their probabilities mean little. Ask in other words, or offer other answers.";
    shown.append(element("p", { className: "coverage", textContent: meaning }));
  }
  return shown;
}

/** The likeliest answers in the order of the question, and the sum of the others. */
function bars({ options, answer }) {
  const sorted = options.toSorted((a, b) => b.probability - a.probability);
  const isAll = options.length <= MAX_BARS;
  const likely = new Set(isAll ? options : sorted.slice(0, MAX_BARS - 1));
  const shown = options.filter((option) => likely.has(option));
  const found = shown.map(({ option, probability }) => bar(option, probability, option === answer));
  if (!isAll) {
    const rest = sorted.slice(MAX_BARS - 1);
    const sum = rest.reduce((total, { probability }) => total + probability, 0);
    found.push(bar(`${rest.length} others`, sum, false));
  }
  return found;
}

function bar(name, probability, isAnswer) {
  const filled = element("span", { className: "filled" });
  // The page's policy forbids style attributes, but not this.
  filled.style.width = `${100 * probability}%`;
  const track = element("span", { className: "track" }, filled);
  const value = element("dd", {}, track, element("span", { textContent: percent(probability) }));
  const row = element("div", { className: isAnswer ? "likeliest" : "" });
  row.append(element("dt", { textContent: name }), value);
  return row;
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}
