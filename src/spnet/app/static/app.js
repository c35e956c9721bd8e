// The page: sources, filters, queries, keys; the parts are connected here.

import { $, attempt, download, get, make, post, send, showTime } from "./api.js";
import * as jobs from "./jobs.js";
import * as player from "./player.js";
import * as results from "./results.js";

let sources = [];
let queries = []; // { query, image }: what is sent, and the element that shows it

async function loadState() {
  const state = await get("/api/state");
  sources = state.sources;
  $("counts").textContent = `${state.tracklets.toLocaleString("en")} tracklets`;
  renderSources();
  renderCameras(state.cameras);
}

function renderSources() {
  $("sources").replaceChildren(...sources.map((source) => {
    const length = source.kind === "video" && source.duration ? showTime(source.duration) : source.kind;
    const text = make("span", {}, make("b", { textContent: source.name }), make("span", { className: "soft small", textContent: `${source.camera} · ${length}${source.done ? "" : " · not done"}` }));
    const middle = source.kind === "video" ? (source.duration ?? 0) / 2 : 0;
    const image = make("img", { src: `/api/sources/${source.id}/frame?side=168&time=${middle.toFixed(2)}`, alt: "", loading: "lazy" });
    const button = make("button", { type: "button" }, image, text);
    button.dataset.source = source.id;
    button.addEventListener("click", () => openSource(source));
    return make("li", {}, button);
  }));
  if (!sources.length) $("sources").append(make("li", { className: "soft", textContent: "Nothing is indexed yet." }));
}

function renderCameras(cameras) {
  const chosen = new Set(limits().cameras);
  $("cameras").replaceChildren(...cameras.map((camera) => make("label", {}, make("input", { type: "checkbox", name: "camera", value: camera, checked: chosen.has(camera) }), make("span", { textContent: camera }))));
}

function openSource(source, time) {
  player.open(source, time);
  showCurrent();
}

function showCurrent() {
  const id = player.current()?.source?.id;
  for (const button of document.querySelectorAll("#sources button")) button.setAttribute("aria-current", button.dataset.source === id);
}

function limits() {
  const form = $("limits").elements;
  const least = Number(form.min_similarity.value);
  return {
    cameras: [...document.querySelectorAll("#cameras input:checked")].map((input) => input.value),
    first: form.first.value.trim(),
    last: form.last.value.trim(),
    min_similarity: least > -1 ? least : null,
    top: Number(form.top.value),
  };
}

async function runSearch() {
  if (!queries.length) return results.clear();
  const { right, wrong } = results.marks();
  let answer = await post("/api/searches", { queries: queries.map((entry) => entry.query), limits: limits() });
  if (right.length || wrong.length) answer = await post(`/api/searches/${answer.id}/marks`, { right, wrong });
  results.show(answer);
  return undefined;
}

function renderQueries() {
  $("queries").replaceChildren(...queries.map((entry, index) => {
    const remove = make("button", { type: "button", textContent: "×" });
    remove.setAttribute("aria-label", `Remove query ${index + 1}`);
    remove.addEventListener("click", () => setQueries(queries.filter((other) => other !== entry)));
    return make("li", {}, entry.image, remove);
  }));
  if (!queries.length) $("queries").append(make("li", { className: "none", textContent: "Nobody yet: pause a video and click a person." }));
  $("clear").hidden = !queries.length;
}

function setQueries(wanted) {
  queries = wanted;
  renderQueries();
  attempt(runSearch);
}

player.onChoose((query) => {
  const image = player.cutOut(query.box);
  results.forgetMarks();
  setQueries([{ query, image }]);
});

results.connect({
  play: (hit) => attempt(async () => {
    const source = sources.find((other) => other.id === hit.source);
    await player.playHit(source, hit);
    showCurrent();
    $("screen").scrollIntoView({ block: "nearest", behavior: "smooth" });
  }),
  add: (hit, thumbnail) => {
    const query = { source: hit.source, time: hit.time, box: hit.box };
    if (hit.found_by === "index") query.tracklet = hit.id;
    setQueries([...queries, { query, image: make("img", { src: thumbnail, alt: "a query" }) }]);
  },
  again: async () => {
    queries = await stillThere(queries);
    renderQueries();
    await loadState();
    await runSearch();
  },
});

// A query by a tracklet that was merged or split is from now on its box in its frame.
async function stillThere(entries) {
  const checked = entries.map(async (entry) => {
    if (!entry.query.tracklet) return entry;
    const isThere = await get(`/api/tracklets/${entry.query.tracklet}/path`).then(() => true, () => false);
    if (isThere) return entry;
    const { tracklet, ...query } = entry.query;
    return { ...entry, query };
  });
  return Promise.all(checked);
}

jobs.onDone((job) => attempt(async () => {
  if (job.title.startsWith("Indexing")) await loadState();
  if (job.search) results.show(await get(`/api/searches/${job.search}`));
}));

function startExport(kind) {
  return attempt(async () => {
    const body = { ranks: results.selectedRanks(), blur: $("blur").checked };
    const answer = await post(`/api/searches/${results.currentSearch().id}/${kind}`, body);
    if (answer instanceof Blob) download(answer, "hits.csv");
    else jobs.follow(answer);
  });
}

for (const kind of ["clips", "csv", "report"]) $(kind).addEventListener("click", () => startExport(kind));
$("look").addEventListener("click", () => attempt(async () => jobs.follow(await post(`/api/searches/${results.currentSearch().id}/second-look`))));
$("clear").addEventListener("click", () => {
  results.clear();
  setQueries([]);
});
$("split").addEventListener("click", () => {
  const { hit, time } = player.current();
  $("split").hidden = true;
  results.split(hit, time);
});
$("limits").addEventListener("submit", (event) => event.preventDefault());
$("limits").addEventListener("input", () => {
  const least = Number($("limits").elements.min_similarity.value);
  $("least").textContent = least > -1 ? least.toFixed(2) : "any";
});
$("limits").addEventListener("change", () => attempt(runSearch));
$("add")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target.elements;
  attempt(async () => jobs.follow(await post("/api/index", { path: form.path.value, camera: form.camera.value })));
});
$("upload").addEventListener("change", () => {
  const [file] = $("upload").files;
  if (file) attempt(async () => {
    player.openUpload(await send("/api/uploads", file));
    showCurrent();
  });
  $("upload").value = "";
});
$("help").addEventListener("click", () => $("keys").showModal());

const KEYS = {
  " ": player.toggle,
  ArrowLeft: () => player.step(-1),
  ArrowRight: () => player.step(1),
  d: player.detect,
  j: () => results.move(1),
  k: () => results.move(-1),
  r: () => results.act("right"),
  w: () => results.act("wrong"),
  p: () => results.act("play"),
  a: () => results.act("add"),
  x: () => results.act("select"),
  f: () => {
    $("filters").open = true;
    $("limits").elements.first.focus();
  },
  "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  const isPressing = event.key === " " && event.target.matches("button, summary");
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping || isPressing || $("keys").open) return;
  if (/^[1-9]$/.test(event.key)) return void player.choosePerson(Number(event.key) - 1);
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});

attempt(async () => {
  if (matchMedia("(max-width: 760px)").matches) $("filters").open = false;
  renderQueries();
  await loadState();
  if (sources.length) openSource(sources[0]);
});
