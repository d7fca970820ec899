// The last request as a command for a shell.

import { hasKey } from "./api.js";

/** A command that sends a request. `names` maps data URLs to the names of files, which the command reads. */
export function toCurl(request, names) {
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
  const url = new URL("v1/chat/completions", location.href);
  const key = hasKey() ? ' -H "Authorization: Bearer $SMOLVLM_API_KEY"' : "";
  return `curl ${quote(url.href)} -H 'Content-Type: application/json'${key} -d @- <<${mark}\n${body}\n${mark}\n`;
}

/** A word of the shell; names of files may contain line breaks, which would end the line of the command. */
function quote(text) {
  return `'${text.replace(/\p{Cc}/gu, "?").replaceAll("'", "'\\''")}'`;
}
