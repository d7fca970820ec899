// The last request as a command for a shell.

import { hasKey } from "./api.js";
import { MAX_EDGE, MAX_FRAME_EDGE } from "./media.js";

/**
 * A command that sends a request about media, which it reads from files. Comments tell how to make the files that the
 * user does not have.
 */
export function toCurl(request, media) {
  const names = new Map(media.flatMap((medium) => medium.parts).map((part) => [part.url, part.name]));
  const files = [];
  // Marks the places of files while the rest is quoted, and ends the here-document. Nobody can know it before.
  const mark = `EOF_${crypto.getRandomValues(new Uint32Array(4)).join("_")}`;
  const json = JSON.stringify(
    request,
    (_, value) => {
      if (typeof value !== "string" || !names.has(value)) return value;
      files.push({ prefix: value.slice(0, value.indexOf(",") + 1), name: names.get(value) });
      return `${mark}(${files.length - 1})`;
    },
    1,
  );
  // In a here-document, the shell replaces what follows these characters.
  const quoted = json.replace(/[\\$`]/g, "\\$&");
  const body = quoted.replace(new RegExp(`${mark}\\((\\d+)\\)`, "g"), (_, index) => {
    const { prefix, name } = files[index];
    return `${prefix}$(base64 < ${quote(name)} | tr -d '\\n')`;
  });
  const url = new URL(request.questions ? "v1/decisions" : "v1/chat/completions", location.href);
  const key = hasKey() ? ' -H "Authorization: Bearer $SMOLVLM_API_KEY"' : "";
  const comments = media.flatMap(origin).map((line) => `# ${line}`);
  const command = `curl ${quote(url.href)} -H 'Content-Type: application/json'${key} -d @- <<${mark}`;
  return [...comments, command, body, mark, ""].join("\n");
}

/** Lines that tell where the files of a medium come from, unless the user has them. */
function origin({ kind, name, isSaved, isConverted, parts, fps }) {
  const part = quote(parts[0].name);
  if (kind === "video") {
    const frames = parts.length > 1 ? `${part} to ${quote(parts.at(-1).name)} are frames` : `${part} is a frame`;
    const pattern = quote(parts[0].name.replaceAll("%", "%%").replace(/\d+\.jpg$/, "%02d.jpg"));
    const scale = `scale=${MAX_FRAME_EDGE}:${MAX_FRAME_EDGE}:force_original_aspect_ratio=decrease`;
    const options = `-vf fps=${Number(fps.toPrecision(6))},${scale} -frames:v ${parts.length}`;
    return [`${frames} of ${quote(name)}:`, `  ffmpeg -i ${quote(name)} ${options} ${pattern}`];
  }
  if (!isSaved) return [`${part} is only on the page: save the picture there under this name.`];
  if (!isConverted) return [];
  const size = quote(`${MAX_EDGE}x${MAX_EDGE}>`);
  return [
    `${part} is ${quote(name)} as JPEG with at most ${MAX_EDGE} pixels per edge:`,
    `  magick ${quote(name)} -resize ${size} ${part}`,
  ];
}

/** A word of the shell; names of files may contain line breaks, which would end the line of the command. */
function quote(text) {
  return `'${text.replace(/\p{Cc}/gu, "?").replaceAll("'", "'\\''")}'`;
}
