// What the tests of the page share: a browser, pages in it, and their parts. Variables: PAGE_URL and PAGE_KEY are those
// of a server with the bundled model, PAGE_SCREENSHOTS is a folder for pictures of the page.

const assert = require("node:assert/strict");
const http = require("node:http");
const { join } = require("node:path");
const { after, before, test } = require("node:test");
const axe = require("axe-core");
const { chromium } = require("playwright-core");

const { PAGE_URL: url, PAGE_KEY: key, PAGE_SCREENSHOTS: screenshots } = process.env;
const CORPUS = join(__dirname, "../corpus/world");
const SHAPES = join(CORPUS, "shapes.png");
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];

let browser;
before(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: FLAGS });
});
after(() => browser.close());

/** Runs a test on a new page that knows the key, and fails on violations of its policy and on exceptions. */
function onPage(name, body, { options = {}, address = url, stored = key } = {}) {
  test(name, { timeout: 120_000 }, async () => {
    const context = await browser.newContext(options);
    await context.grantPermissions(["camera", "clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      // The browser prints each response with an error status.
      const isStatus = message.text().includes("Failed to load resource");
      if (message.type() === "error" && !isStatus) problems.push(message.text());
    });
    const requests = [];
    page.on("request", (request) => {
      if (/\/(chat\/completions|decisions)$/.test(request.url())) requests.push(request.postDataJSON());
    });
    if (stored) await page.addInitScript((value) => sessionStorage.setItem("smolvlm-api-key", value), stored);
    await page.goto(typeof address === "function" ? await address() : address);
    if (stored) await page.locator("#model.ready").waitFor();
    await body(page, requests);
    assert.deepEqual(problems, []);
    await context.close();
  });
}

const question = (page) => page.getByRole("textbox", { name: "Question" });
const send = (page) => page.getByRole("button", { name: "Send" });
const thumbnails = (page) => page.locator("#pictures li");
const lastAnswer = (page) => page.locator("#transcript article").last();

/** Waits for the last answer to be complete and returns its text. */
async function answered(page, count) {
  await page.locator("#transcript article").nth(count - 1).getByText(/tokens in.* out/).waitFor();
  return lastAnswer(page).locator(".text").textContent();
}

async function choose(page, ...files) {
  await page.locator("#files").setInputFiles(files);
  await thumbnails(page).nth(files.length - 1).waitFor();
}

async function screenshot(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

/** Fails if axe finds anything on the page that people cannot see or use. */
async function checkAccess(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`);
  assert.deepEqual(found, []);
}

/** A proxy that holds back everything after the first text of an answer, and decisions. */
class SlowServer {
  /** Resolves when a client closes the connection of an answer. */
  closed = new Promise((resolve) => (this.resolve = resolve));

  async start() {
    this.server = http.createServer((request, response) => {
      const { method, headers } = request;
      const forwarded = http.request(url + request.url, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        const isDecision = request.url.endsWith("/decisions");
        if (!isDecision && !request.url.endsWith("/chat/completions")) return answer.pipe(response);
        response.on("close", this.resolve);
        if (isDecision) return response.flushHeaders();
        answer.on("data", (chunk) => {
          response.write(chunk);
          if (chunk.includes('"content":"')) answer.pause();
        });
      });
      request.pipe(forwarded);
    });
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.server.address().port}`;
  }
}

module.exports = {
  CORPUS,
  SHAPES,
  SlowServer,
  answered,
  checkAccess,
  choose,
  key,
  lastAnswer,
  onPage,
  question,
  screenshot,
  send,
  thumbnails,
};
