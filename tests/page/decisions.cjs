// Decisions on the page: questions with known answers, and the bars of their probabilities.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const {
  CORPUS,
  SHAPES,
  SlowServer,
  answered,
  checkAccess,
  choose,
  key,
  onPage,
  question,
  screenshot,
  send,
  thumbnails,
} = require("./support.cjs");

const fields = (page, number) => page.getByRole("group", { name: `Question ${number}`, exact: true });
const figures = (page) => page.locator("#transcript figure");

const decide = (page) => page.getByText("Decide", { exact: true }).click();

/** Fills out the last question. */
async function ask(page, text, kind = "Yes or no", values = {}) {
  const last = page.getByRole("group", { name: /^Question \d+$/ }).last();
  await last.getByLabel("Question", { exact: true }).fill(text);
  await last.getByLabel("Kind of answer").selectOption(kind);
  for (const [label, value] of Object.entries(values)) await last.getByLabel(label).fill(value);
}

/** Waits for decisions and returns the bars of one of them as [answer, percent]. */
async function bars(page, index) {
  await figures(page).nth(index).locator("dl").waitFor();
  const rows = await figures(page).nth(index).locator("dl > div").all();
  const texts = await Promise.all(rows.map((row) => row.locator("dt, dd").allTextContents()));
  const percents = texts.map(([answer, percent]) => [answer, Number.parseFloat(percent)]);
  const sum = percents.reduce((total, [, percent]) => total + percent, 0);
  assert.ok(Math.abs(sum - 100) <= 0.05 * rows.length, `${sum} %`);
  return percents;
}

for (const scheme of ["light", "dark"]) {
  onPage(
    `decides about a picture, then answers (${scheme})`,
    async (page, requests) => {
      await choose(page, SHAPES);
      await decide(page);
      assert.equal(await send(page).isDisabled(), true);
      await ask(page, "Is there a star?");
      await page.getByText(/^5 tiles · \d+ tokens · decision in [\d.]+ m?s|^5 tiles · \d+ tokens$/).waitFor();
      await checkAccess(page);
      await fields(page, 1).getByLabel("Question", { exact: true }).press("Enter");
      assert.deepEqual((await bars(page, 0)).map(([answer]) => answer), ["yes", "no"]);
      await page.getByText(/^decided in [\d.]+ m?s · \d+ tokens in/).waitFor();
      // The bundled model does not know such questions.
      await figures(page).getByText(/^Coverage 0.0 %: /).waitFor();
      await screenshot(page, `decisions-${scheme}`);
      await checkAccess(page);
      assert.equal(await thumbnails(page).count(), 0);

      // The next question continues the message with the picture, and decisions do not depend on each other.
      await page.getByText("Answer", { exact: true }).click();
      await question(page).fill("What color is the star?");
      await send(page).click();
      assert.match(await answered(page, 2), /green/i);
      await decide(page);
      await send(page).click();
      await figures(page).nth(1).locator("dl").waitFor();
      const [first, answer, second] = requests;
      assert.deepEqual(first.questions, [{ type: "yes_no", question: "Is there a star?" }]);
      const [picture] = first.messages[0].content;
      assert.deepEqual(first.messages, [{ role: "user", content: [picture] }]);
      const text = { type: "text", text: "What color is the star?" };
      assert.deepEqual(answer.messages, [{ role: "user", content: [picture, text] }]);
      assert.deepEqual(second.messages.map(({ role }) => role), ["user", "assistant", "user"]);
      assert.equal(second.messages[2].content, "");
    },
    { options: { colorScheme: scheme } },
  );
}

onPage("compares options and numbers, with the keyboard only", async (page, requests) => {
  await choose(page, SHAPES);
  await page.getByRole("radio", { name: "Answer" }).focus();
  await page.keyboard.press("ArrowRight");
  await ask(page, "What color is the star?", "Choice", { Options: "red, green,blue ," });
  for (const [text, to] of [["How many shapes are there?", "10"], ["How many green shapes are there?", "100"]]) {
    await page.getByRole("button", { name: "Add a question" }).press("Enter");
    await ask(page, text, "Number", { to });
  }
  await page.getByRole("button", { name: "Add a question" }).press("Enter");
  await fields(page, 4).getByRole("button", { name: "Remove the question" }).press("Enter");
  assert.equal(await fields(page, 4).count(), 0);
  await fields(page, 3).getByLabel("to").press("Enter");
  const colors = await bars(page, 0);
  assert.deepEqual(colors.map(([answer]) => answer), ["red", "green", "blue"]);
  assert.ok(colors[1][1] > 90, `${colors}`);
  assert.equal(await figures(page).nth(0).locator("strong").textContent(), "green");
  assert.equal((await bars(page, 1)).length, 11);
  assert.match(await figures(page).nth(1).locator("strong").textContent(), /^4 mean 4/);
  const many = await bars(page, 2);
  assert.deepEqual([many.length, many.at(-1)[0]], [12, "90 others"]);
  assert.deepEqual(requests[0].questions[0].options, ["red", "green", "blue"]);
  assert.equal(await figures(page).locator(".coverage").count(), 0);
  await screenshot(page, "decisions-numbers");
});

onPage("copies decisions as a request that a shell can send", async (page) => {
  await choose(page, SHAPES);
  await decide(page);
  await ask(page, "What color is the star?", "Choice", { Options: "red, green" });
  await send(page).click();
  await bars(page, 0);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByText("Copied").waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const env = { ...process.env, SMOLVLM_API_KEY: key };
  const stdio = ["ignore", "pipe", "ignore"];
  const { decisions } = JSON.parse(execFileSync("bash", ["-c", command], { cwd: CORPUS, env, stdio }));
  assert.equal(decisions[0].answer, "green");
});

onPage("shows what is wrong with a question", async (page, requests) => {
  await choose(page, SHAPES);
  await question(page).fill("How many shapes are there?");
  await decide(page);
  // What was typed is the first question.
  const first = fields(page, 1).getByLabel("Question", { exact: true });
  assert.equal(await first.inputValue(), "How many shapes are there?");
  await page.getByRole("button", { name: "Add a question" }).click();
  await ask(page, "Which color?", "Choice");
  await send(page).click();
  assert.equal(await page.evaluate(() => document.querySelector("#questions input:invalid").name), "options");
  assert.equal(requests.length, 0);
  await ask(page, "How many?", "Number", { from: "5", to: "1" });
  await send(page).click();
  await page.getByRole("alert").getByText("Question 2: max is 1; it must be at least min, 5").waitFor();
  assert.deepEqual([await thumbnails(page).count(), await page.locator("article").count()], [1, 0]);
  await screenshot(page, "decisions-error");
  await fields(page, 2).getByLabel("to").fill("6");
  assert.equal(await page.locator("#error").textContent(), "");
  await send(page).click();
  assert.deepEqual((await bars(page, 1)).map(([answer]) => answer), ["5", "6"]);
});

const slow = new SlowServer();
onPage(
  "stops decisions by closing the connection",
  async (page) => {
    await choose(page, SHAPES);
    await decide(page);
    await ask(page, "Is there a star?");
    await send(page).click();
    await figures(page).getByText("Is there a star?").waitFor();
    await screenshot(page, "decisions-waiting");
    await page.getByRole("button", { name: "Stop" }).click();
    await slow.closed;
    await send(page).waitFor();
    // As before: the picture is back in the box.
    assert.deepEqual([await thumbnails(page).count(), await page.locator("article").count()], [1, 0]);
    assert.equal(await page.locator("#error").textContent(), "");
    await send(page).click();
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await page.keyboard.press("Escape");
    await send(page).waitFor();
    slow.server.closeAllConnections();
    slow.server.close();
  },
  { address: () => slow.start() },
);

onPage("keeps deciding about pictures of the camera", async (page, requests) => {
  await page.locator("#welcome").getByRole("button", { name: "Use the camera" }).click();
  await page.getByLabel("Camera preview").waitFor();
  await page.waitForTimeout(500);
  await decide(page);
  await ask(page, "What color is it?", "Choice", { Options: "red, green" });
  await page.getByLabel("Ask again").selectOption("after each answer");
  await page.getByRole("button", { name: "Keep asking" }).click();
  await page.locator("#live-log li").nth(1).waitFor();
  assert.match(await page.locator("#live-answer").textContent(), /^What color is it\? (red|green) \([\d.]+ %\)$/);
  assert.deepEqual(requests[0].questions, requests[1].questions);
  await screenshot(page, "decisions-camera");
  await fields(page, 1).getByLabel("Options").fill("");
  await page.getByRole("alert").getByText("Fill out the questions first").waitFor();
  await page.getByRole("button", { name: "Keep asking" }).waitFor();
});

onPage(
  "decides on a small phone",
  async (page) => {
    await choose(page, SHAPES);
    await decide(page);
    const options = "red, green, a-very-long-name-of-a-color-nobody-knows";
    await ask(page, "What color is the star?", "Choice", { Options: options });
    await page.getByRole("button", { name: "Add a question" }).tap();
    await ask(page, "How many shapes are there?", "Number");
    await screenshot(page, "phone-decide");
    for (const label of ["from", "to", "Remove the question"]) {
      const box = await fields(page, 2).getByLabel(label).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= 320 && box.width >= 40 && box.height >= 40, label);
    }
    await checkAccess(page);
    await send(page).tap();
    await bars(page, 1);
    await screenshot(page, "phone-decisions");
    const overflowing = await page.evaluate(() =>
      [...document.querySelectorAll("html, main, figure, .tools, .switch, #question-list")]
        .filter((element) => element.scrollWidth > element.clientWidth)
        .map((element) => element.outerHTML.slice(0, 60)),
    );
    assert.deepEqual(overflowing, []);
    await checkAccess(page);
  },
  { options: { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 } },
);
