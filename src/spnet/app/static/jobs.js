// Long work: how far it is, stop, what came of it.

import { $, download, get, make, post } from "./api.js";

const POLL = 700; // milliseconds
const ended = new Set(); // jobs whose end the page has dealt with
let whenDone = () => {};
let timer = null;

export function onDone(callback) {
  whenDone = callback;
}

export function follow(job, keepClosed = false) {
  if (!job) return;
  if (!keepClosed) open(true);
  poll();
}

function open(wanted) {
  $("jobs").hidden = !wanted;
  $("work").setAttribute("aria-expanded", wanted);
}

async function poll() {
  clearTimeout(timer);
  let jobs = [];
  try {
    jobs = await get("/api/jobs");
  } catch {
    return;
  }
  const running = jobs.filter((job) => job.state === "running");
  $("working").hidden = !running.length;
  $("working").textContent = running.length;
  $("joblist").replaceChildren(...(jobs.length ? jobs.map(render) : [make("li", { className: "soft", textContent: "Nothing is running." })]));
  for (const job of jobs) {
    if (job.state === "running" || ended.has(job.id)) continue;
    ended.add(job.id);
    if (job.file && job.state === "done") download(`/api/jobs/${job.id}/file`, job.file);
    whenDone(job);
  }
  if (running.length) timer = setTimeout(poll, POLL);
}

function render(job) {
  const states = { running: job.total ? `${job.done} of ${job.total}` : "working", done: "done", stopped: "stopped", failed: "failed" };
  const text = make("div", {}, make("b", { textContent: job.title }), make("p", { className: job.state === "failed" ? "problem small" : "soft small", textContent: [states[job.state], job.message].filter(Boolean).join(" · ") }));
  const item = make("li", {}, text);
  if (job.state === "running") {
    const stop = make("button", { type: "button", textContent: "Stop" });
    stop.addEventListener("click", async () => {
      stop.disabled = true;
      await post(`/api/jobs/${job.id}/stop`);
      poll();
    });
    const bar = make("progress", job.total ? { max: job.total, value: job.done } : {});
    bar.setAttribute("aria-label", job.title);
    item.append(stop, bar);
  } else if (job.file && job.state === "done") {
    const again = make("button", { type: "button", textContent: "Save" });
    again.addEventListener("click", () => download(`/api/jobs/${job.id}/file`, job.file));
    item.append(again);
  }
  return item;
}

$("work").addEventListener("click", () => {
  open($("jobs").hidden);
  poll();
});
