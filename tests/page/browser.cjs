// The server's page in Chromium: questions in words. Runs the tests of decisions too.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const {
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
} = require("./support.cjs");

/** Dispatches an event with a file as its data. */
function transfer(page, type, path) {
  const bytes = [...readFileSync(path)];
  return page.evaluate(
    ([type, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "shapes.png", { type: "image/png" }));
      const options = { bubbles: true, cancelable: true };
      const event =
        type === "paste"
          ? new ClipboardEvent(type, { ...options, clipboardData: data })
          : new DragEvent(type, { ...options, dataTransfer: data });
      document.querySelector("main").dispatchEvent(event);
    },
    [type, bytes],
  );
}

for (const scheme of ["light", "dark"]) {
  onPage(
    `asks about a picture, then again (${scheme})`,
    async (page, requests) => {
      await screenshot(page, `welcome-${scheme}`);
      assert.equal(await send(page).isDisabled(), true);
      await choose(page, SHAPES);
      await page.getByText(/^5 tiles · \d+ tokens/).waitFor();
      assert.equal(await question(page).getAttribute("placeholder"), "Describe the picture.");
      await send(page).click();
      assert.match(await answered(page, 1), /star/);
      const facts = await lastAnswer(page).locator(".facts").textContent();
      assert.match(facts, /first word after .* · \d+ tokens\/s · \d+ tokens in.*, \d+ out/);
      assert.equal(await page.locator("#welcome").isVisible(), false);

      await question(page).fill("What color is the star?");
      await page.getByText(/^5 tiles · \d+ tokens · first word in [\d.]+ m?s/).waitFor();
      await question(page).press("Enter");
      assert.match(await answered(page, 2), /green/i);
      const [first, second] = requests.map((request) => request.messages);
      assert.deepEqual(second.map((message) => message.role), ["user", "assistant", "user"]);
      assert.deepEqual(second[0], first[0]);
      assert.equal(await question(page).inputValue(), "");
      await screenshot(page, `answers-${scheme}`);
      await checkAccess(page);

      await page.getByRole("button", { name: "New conversation" }).click();
      assert.equal(await page.locator("#transcript article").count(), 0);
      assert.equal(await page.locator("#welcome").isVisible(), true);
    },
    { options: { colorScheme: scheme } },
  );
}

onPage("takes dropped and pasted pictures, and removes them", async (page, requests) => {
  await transfer(page, "dragover", SHAPES);
  assert.equal(await page.locator("body.dropping").count(), 1);
  await transfer(page, "drop", SHAPES);
  await thumbnails(page).first().waitFor();
  assert.equal(await page.locator("body.dropping").count(), 0);
  await transfer(page, "paste", SHAPES);
  await thumbnails(page).nth(1).waitFor();
  await page.locator("#files").setInputFiles([join(CORPUS, "stop.png")]);
  await page.getByText("15 tiles").waitFor();
  await screenshot(page, "pictures");
  await page.getByRole("button", { name: "Remove stop.png" }).click();
  await page.getByText("10 tiles").waitFor();
  assert.equal(await question(page).getAttribute("placeholder"), "What is different in the second picture?");
  await question(page).press("Control+Enter");
  await answered(page, 1);
  assert.deepEqual(requests[0].messages[0].content.map((part) => part.type), ["image_url", "image_url", "text"]);
});

onPage("sends animated pictures as videos and rejects other files", async (page, requests) => {
  await page.locator("#files").setInputFiles([{ name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("a") }]);
  await page.getByRole("alert").getByText("a.txt is neither a picture nor a video").waitFor();
  await page.locator("#files").setInputFiles([{ name: "a.png", mimeType: "image/png", buffer: Buffer.from("a") }]);
  await page.getByRole("alert").getByText("This browser cannot open a.png").waitFor();
  await choose(page, join(CORPUS, "clip.gif"));
  await send(page).click();
  assert.notEqual(await answered(page, 1), "(no answer)");
  const [clip] = requests[0].messages[0].content;
  assert.equal(clip.type, "video");
  assert.ok(clip.video.length > 1 && clip.fps > 0);
});

for (const [name, frames] of [["plain.mp4", 10], ["hidden-frames.webm", 10], ["moving.webp", 2]]) {
  onPage(`sends frames of ${name}`, async (page, requests) => {
    await choose(page, join(CORPUS, "../clips", name));
    await page.locator("#pictures").getByText(/\d+ frames/).waitFor();
    await screenshot(page, `video-${name}`);
    await page.getByText(/ tiles? · /).waitFor();
    await send(page).click();
    await answered(page, 1);
    const [clip] = requests[0].messages[0].content;
    assert.ok(clip.video.length >= frames, `${clip.video.length} frames`);
    assert.ok(clip.video.every((frame) => frame.startsWith("data:image/jpeg;base64,")) && clip.fps > 0);
  });
}

onPage("draws an example, and writes lines with the keyboard", async (page, requests) => {
  await page.locator("#welcome").getByRole("button", { name: "Draw an example" }).click();
  await thumbnails(page).first().waitFor();
  await question(page).pressSequentially("How many");
  await question(page).press("Shift+Enter");
  await question(page).pressSequentially("shapes are there?");
  assert.equal(requests.length, 0);
  await question(page).press("Enter");
  await answered(page, 1);
  assert.equal(requests[0].messages[0].content[1].text, "How many\nshapes are there?");
});

onPage("copies a request that a shell can send", async (page) => {
  await choose(page, SHAPES);
  await question(page).fill("Is it $HOME, `a` or \"b\\c\"?\n'd'");
  await question(page).press("Enter");
  const shown = await answered(page, 1);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByText("Copied").waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(command.length < 1000 && !command.includes(key), command);
  const env = { ...process.env, SMOLVLM_API_KEY: key };
  const stdio = ["ignore", "pipe", "ignore"];
  const answer = JSON.parse(execFileSync("bash", ["-c", command], { cwd: CORPUS, env, stdio }));
  assert.equal(answer.choices[0].message.content || "(no answer)", shown);
});

onPage("tells how to make the files that a copied request reads", async (page) => {
  const icon = { name: "it's.ico", mimeType: "image/x-icon", buffer: readFileSync(SHAPES) };
  await page.locator("#files").setInputFiles([icon]);
  await choose(page, SHAPES, join(CORPUS, "clip.gif"));
  await page.locator("#composer").getByRole("button", { name: "Draw an example" }).click();
  await thumbnails(page).nth(3).waitFor();
  await question(page).press("Enter");
  await answered(page, 1);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByText("Copied").waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.deepEqual(command.split("\n").slice(0, 5), [
    "# 'it'\\''s-converted.jpg' is 'it'\\''s.ico' as JPEG with at most 4096 pixels per edge:",
    "#   magick 'it'\\''s.ico' -resize '4096x4096>' 'it'\\''s-converted.jpg'",
    "# 'clip-01.jpg' to 'clip-06.jpg' are frames of 'clip.gif':",
    "#   ffmpeg -i 'clip.gif' -vf fps=1,scale=512:512:force_original_aspect_ratio=decrease -frames:v 6 'clip-%02d.jpg'",
    "# 'example.png' is only on the page: save the picture there under this name.",
  ]);
  const files = ["it'\\''s-converted.jpg", "shapes.png", "clip-01.jpg", "clip-06.jpg", "example.png"];
  for (const file of files) assert.ok(command.includes(`$(base64 < '${file}' | tr -d '\\n')`), file);
});

onPage("shows what to copy, and says why there is no camera, without https", async (page) => {
  await page.evaluate(() => {
    for (const name of ["clipboard", "mediaDevices"]) Object.defineProperty(navigator, name, { value: undefined });
  });
  await page.locator("#welcome").getByRole("button", { name: "Use the camera" }).click();
  await page.getByRole("alert").getByText("Browsers allow the camera on localhost and over https only").waitFor();
  await question(page).fill("What is 5 minus 1?");
  await question(page).press("Enter");
  assert.equal(await answered(page, 1), "4");
  await page.getByRole("button", { name: "Copy as curl" }).click();
  assert.match(await page.getByLabel("Text to copy").inputValue(), /^curl 'http/);
  await page.getByRole("button", { name: "Close" }).click();
});

for (const [status, message, headers, shown] of [
  [429, "too many requests are waiting", { "Retry-After": "7" }, "Too many requests are waiting (in 7 s)"],
  [413, "the request is too large", {}, "The request is too large"],
  [400, "messages is invalid", {}, "Messages is invalid"],
]) {
  onPage(`shows the error ${status} and keeps the question`, async (page) => {
    await page.route("**/chat/completions", (route) =>
      route.fulfill({ status, headers, contentType: "application/json", body: JSON.stringify({ error: { message } }) }),
    );
    await choose(page, SHAPES);
    await question(page).fill("What?");
    await send(page).click();
    await page.getByRole("alert").getByText(shown, { exact: true }).waitFor();
    assert.equal(await question(page).inputValue(), "What?");
    assert.equal(await thumbnails(page).count(), 1);
    await screenshot(page, `error-${status}`);
    await page.unroute("**/chat/completions");
    await send(page).click();
    await answered(page, 1);
    assert.equal(await page.locator("#error").textContent(), "");
  });
}

const slow = new SlowServer();
onPage(
  "stops an answer by closing the connection",
  async (page) => {
    await choose(page, SHAPES);
    await send(page).click();
    await page.locator("#transcript .text:not(:empty)").waitFor();
    assert.equal(await send(page).isVisible(), false);
    await screenshot(page, "streaming");
    await page.getByRole("button", { name: "Stop" }).click();
    await slow.closed;
    await lastAnswer(page).getByText("stopped").waitFor();
    assert.notEqual(await lastAnswer(page).locator(".text").textContent(), "");
    // The conversation goes on, with what there is of the answer.
    await question(page).fill("And now?");
    assert.equal(await send(page).isEnabled(), true);
    await send(page).click();
    await page.locator("article").nth(1).locator(".text:not(:empty)").waitFor();
    await page.keyboard.press("Escape");
    await lastAnswer(page).getByText("stopped").waitFor();
    slow.server.closeAllConnections();
    slow.server.close();
  },
  { address: () => slow.start() },
);

onPage("takes pictures with the camera and keeps asking", async (page, requests) => {
  await page.locator("#welcome").getByRole("button", { name: "Use the camera" }).click();
  await page.getByLabel("Camera preview").waitFor();
  await page.waitForTimeout(500);
  await page.getByRole("button", { name: "Take a picture" }).click();
  await thumbnails(page).first().waitFor();
  await page.getByRole("button", { name: "Remove camera-1.jpg" }).click();
  await page.getByLabel("Ask again").selectOption("after each answer");
  await question(page).fill("What do you see?");
  await page.getByRole("button", { name: "Keep asking" }).click();
  await page.locator("#live-log li").nth(2).waitFor();
  await screenshot(page, "camera");
  const [first, second] = requests.map((request) => request.messages[0].content);
  assert.equal(first[1].text, "What do you see?");
  assert.notEqual(first[0].image_url.url, second[0].image_url.url);
  await page.getByRole("button", { name: "Stop asking" }).click();
  await page.getByRole("button", { name: "Keep asking" }).waitFor();
  // A question without pictures is about the frame of now.
  await send(page).click();
  await answered(page, 1);
  assert.equal(await page.getByLabel("Camera preview").isVisible(), false);
});

onPage(
  "fits on a phone",
  async (page) => {
    await screenshot(page, "phone-welcome");
    await choose(page, SHAPES, join(CORPUS, "chart.png"), join(CORPUS, "sign.png"), join(CORPUS, "stop.png"));
    await page.getByText("20 tiles").waitFor();
    await screenshot(page, "phone-pictures");
    await send(page).click();
    await answered(page, 1);
    await screenshot(page, "phone-answer");
    await page.getByRole("button", { name: "Camera", exact: true }).click();
    await page.getByLabel("Camera preview").waitFor();
    await page.waitForTimeout(500);
    await screenshot(page, "phone-camera");
    const widths = await page.evaluate(() => ["html", "main"].map((name) => document.querySelector(name).scrollWidth));
    assert.deepEqual(widths, [360, 360]);
    for (const name of ["Send", "New conversation", "Take a picture", "Keep asking"]) {
      const box = await page.getByRole("button", { name, exact: true }).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.width >= 40 && box.height >= 40, name);
    }
  },
  { options: { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 } },
);

onPage(
  "asks for the API key and keeps it in the tab",
  async (page) => {
    const field = page.getByLabel("API key");
    await field.waitFor();
    await screenshot(page, "key");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Enter key" }).click();
    await field.fill("wrong");
    await field.press("Enter");
    await page.getByText("This key is not valid.").waitFor();
    await field.fill(key);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.locator("#model.ready").waitFor();
    await choose(page, SHAPES);
    await send(page).click();
    await answered(page, 1);
    await page.reload();
    await page.locator("#model.ready").waitFor();
    assert.equal(await page.evaluate(() => localStorage.getItem("smolvlm-api-key")), null);
  },
  { stored: null },
);

require("./decisions.cjs");
