// The last request as a command for a shell.

import { hasKey } from "./api.js";

/** Characters that mark the place of a file while the rest is quoted. */
const [OPEN, CLOSE] = ["\uE000", "\uE001"];

/** A command that sends a request. `names` maps data URLs to the names of files, which the command reads. */
export function toCurl(request, names) {
  const files = [];
  const json = JSON.stringify(
    request,
    (_, value) => {
      if (typeof value !== "string" || !names.has(value)) return value;
      files.push({ prefix: value.slice(0, value.indexOf(",") + 1), name: names.get(value) });
      return `${OPEN}${files.length - 1}${CLOSE}`;
    },
    1,
  );
  // In a here-document, the shell replaces what follows these characters.
  const quoted = json.replace(/[\\$`]/g, "\\$&");
  const body = quoted.replace(new RegExp(`${OPEN}(\\d+)${CLOSE}`, "g"), (_, index) => {
    const { prefix, name } = files[index];
    return `${prefix}$(base64 < ${quote(name)} | tr -d '\\n')`;
  });
  const url = new URL("v1/chat/completions", location.href);
  const key = hasKey() ? ' -H "Authorization: Bearer $SMOLVLM_API_KEY"' : "";
  return `curl ${quote(url.href)} -H 'Content-Type: application/json'${key} -d @- <<EOF\n${body}\nEOF\n`;
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
