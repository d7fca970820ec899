// Pictures and videos of questions, from files.
//
// A medium is { kind: "image" | "video", name, file, isSaved, isConverted, preview, width, height, parts, fps }:
// `preview` is an object URL of the file, and `parts` are its pictures as { name, url } with data URLs and names that a
// file with this content could have: one picture, or the frames of a video. The file `name` is on the user's disk if
// `isSaved`, and the picture is another one than the file's if `isConverted`.

/** Formats that the server decodes. */
const FORMATS = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];
/** Larger files and pictures are scaled down before they are sent. */
const MAX_BYTES = 8 << 20;
const MAX_PIXELS = 40e6;
export const MAX_EDGE = 4096;
/** Frames of videos: models sample one per second, and see each of them in at most this size. */
const MAX_FRAMES = 64;
const FRAMES_PER_SECOND = 2;
export const MAX_FRAME_EDGE = 512;

/** Reads a file. The error's message is for the user. */
export async function load(file, isSaved) {
  const medium = { name: file.name, file, isSaved, isConverted: true, preview: URL.createObjectURL(file), fps: null };
  try {
    const isFilm = file.type.startsWith("video/");
    if (!isFilm && !file.type.startsWith("image/")) throw new Error(`${file.name} is neither a picture nor a video`);
    const frames = isFilm ? await videoFrames(file, medium.preview) : await animationFrames(file);
    if (frames) return { ...medium, kind: "video", ...frames };
    return { ...medium, kind: "image", ...(await picture(file)) };
  } catch (error) {
    URL.revokeObjectURL(medium.preview);
    throw error;
  }
}

/** Frees the memory of a medium that is no longer shown. */
export function release(medium) {
  URL.revokeObjectURL(medium.preview);
}

/** The content part of a request. */
export function content(medium) {
  const urls = medium.parts.map((part) => part.url);
  if (medium.kind === "video") return { type: "video", video: urls, fps: medium.fps };
  return { type: "image_url", image_url: { url: urls[0] } };
}

/** An element that shows a medium. */
export function show(medium, controls) {
  const isFilm = medium.file.type.startsWith("video/");
  const element = document.createElement(isFilm ? "video" : "img");
  if (isFilm) {
    Object.assign(element, { muted: true, playsInline: true, controls, preload: "metadata" });
    element.setAttribute("aria-label", medium.name);
  } else {
    element.alt = medium.name;
  }
  Object.assign(element, { src: medium.preview, width: medium.width, height: medium.height });
  return element;
}

/** A frame of a playing video as a file. */
export async function grab(video, name) {
  const blob = await encode(video, video.videoWidth, video.videoHeight, MAX_EDGE);
  return new File([blob], name, { type: blob.type });
}

export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The file cannot be read"));
    reader.readAsDataURL(blob);
  });
}

async function picture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`This browser cannot open ${file.name}`);
  }
  const { width, height } = bitmap;
  const asIs = FORMATS.includes(file.type) && file.size <= MAX_BYTES && width * height <= MAX_PIXELS;
  const blob = asIs ? file : await encode(bitmap, width, height, MAX_EDGE);
  bitmap.close();
  const name = asIs ? file.name : `${stem(file)}-converted.jpg`;
  return { width, height, isConverted: !asIs, parts: [{ name, url: await dataUrl(blob) }] };
}

/** Draws an image as JPEG, scaled down to a longest edge, on white where it is transparent. */
function encode(source, width, height, maxEdge) {
  const scale = Math.min(1, maxEdge / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new Error("This browser cannot encode the picture")));
    canvas.toBlob(done, "image/jpeg", 0.92);
  });
}

/** A frame of a file as a part. */
async function frame(file, source, width, height, index) {
  const url = await dataUrl(await encode(source, width, height, MAX_FRAME_EDGE));
  return { name: `${stem(file)}-${String(index + 1).padStart(2, "0")}.jpg`, url };
}

/** The name of a file without its extension. */
function stem(file) {
  return file.name.replace(/\.[^.]*$/, "");
}

/** The frames of an animated picture, or null for any other one. */
async function animationFrames(file) {
  if (!["image/gif", "image/webp"].includes(file.type) || !("ImageDecoder" in window)) return null;
  const decoder = new ImageDecoder({ type: file.type, data: file.stream() });
  try {
    await decoder.completed;
    const count = decoder.tracks.selectedTrack.frameCount;
    if (count < 2) return null;
    const taken = Math.min(count, MAX_FRAMES);
    const parts = [];
    let size = null;
    let end = 0;
    for (let index = 0; index < taken; index++) {
      const { image } = await decoder.decode({ frameIndex: Math.floor((index * count) / taken) });
      size = { width: image.displayWidth, height: image.displayHeight };
      end = (image.timestamp + (image.duration ?? 0)) / 1e6;
      parts.push(await frame(file, image, size.width, size.height, index));
      image.close();
    }
    return { ...size, parts, fps: end > 0 ? taken / end : 1 };
  } catch {
    // The server may accept as a picture what this decoder does not.
    return null;
  } finally {
    decoder.close();
  }
}

/** Frames of a video at even distances. */
async function videoFrames(file, url) {
  const problem = new Error(`This browser cannot play ${file.name}`);
  const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto", src: url });
  const event = (name) =>
    new Promise((resolve, reject) => {
      video.addEventListener(name, resolve, { once: true });
      video.addEventListener("error", () => reject(problem), { once: true });
    });
  const seek = async (time) => {
    const seeked = event("seeked");
    video.currentTime = time;
    await seeked;
    return video.currentTime;
  };
  await event("loadeddata");
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0) throw problem;
  // Recordings of browsers do not say how long they are, so that their end has to be looked for.
  const duration = Number.isFinite(video.duration) ? video.duration : await seek(1e9);
  const count = Math.min(MAX_FRAMES, Math.max(1, Math.round(duration * FRAMES_PER_SECOND)));
  const parts = [];
  for (let index = 0; index < count; index++) {
    await seek(((index + 0.5) * duration) / count);
    parts.push(await frame(file, video, width, height, index));
  }
  video.removeAttribute("src");
  video.load();
  return { width, height, parts, fps: duration > 0 ? count / duration : 1 };
}
