// Requests to the app, and small helpers for the page. Text is only ever set as text, never as markup.

export const $ = (id) => document.getElementById(id);

export async function get(path) {
  return read(await fetch(path));
}

export async function post(path, body) {
  return read(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) }));
}

export async function send(path, file) {
  return read(await fetch(path, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file }));
}

async function read(answer) {
  const isJson = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  if (answer.ok) return isJson ? answer.json() : answer.blob();
  throw new Error(isJson ? (await answer.json()).error : `the app answered ${answer.status}`);
}

// Runs what a button does, and shows what went wrong.
export async function attempt(work) {
  $("problem").hidden = true;
  document.body.classList.add("busy");
  try {
    return await work();
  } catch (error) {
    $("problem").textContent = error instanceof TypeError ? "The app does not answer. Is it still running?" : error.message;
    $("problem").hidden = false;
    return undefined;
  } finally {
    document.body.classList.remove("busy");
  }
}

export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function showTime(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  const rest = `${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest.slice(0, 2)}`;
}

export function download(blobOrPath, name) {
  const isBlob = blobOrPath instanceof Blob;
  const address = isBlob ? URL.createObjectURL(blobOrPath) : blobOrPath;
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  if (isBlob) URL.revokeObjectURL(address);
}
