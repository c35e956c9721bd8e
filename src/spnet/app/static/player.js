// The video or image that is looked at, and the people in its paused frame.

import { $, attempt, get, post, showTime } from "./api.js";

const video = $("video"), still = $("still"), overlay = $("overlay"), seek = $("seek");
const SVG = "http://www.w3.org/2000/svg";
const AROUND = 1; // seconds that are played before and after a hit
let choose = () => {};
let shown = null; // { source, people, isVideo, isPlayable, time, stopAt, path, upload }

export function onChoose(callback) {
  choose = callback;
}

export function current() {
  return shown;
}

// Opens a source; `time` is where, in seconds.
export function open(source, time = 0) {
  shown = { source, people: [], isVideo: source.kind === "video", isPlayable: source.kind === "video", time, stopAt: null, path: null };
  $("empty").hidden = true;
  $("split").hidden = true;
  overlay.replaceChildren();
  setSize(source.width, source.height);
  const duration = source.duration ?? 0;
  Object.assign(seek, { max: duration, value: time, disabled: !shown.isVideo });
  for (const id of ["play", "back", "forth"]) $(id).disabled = !shown.isVideo;
  $("detect").disabled = false;
  if (shown.isVideo) {
    still.hidden = true;
    video.hidden = false;
    video.src = `/api/sources/${source.id}/media`;
    video.currentTime = time;
  } else {
    video.removeAttribute("src");
    showStill(`/api/sources/${source.id}/frame?time=0`);
    showPeople();
  }
  showClock();
}

export function openUpload(upload) {
  shown = { source: null, upload, people: upload.people, isVideo: false, time: 0, path: null };
  video.pause();
  video.removeAttribute("src");
  $("empty").hidden = true;
  for (const id of ["play", "back", "forth", "seek", "detect"]) $(id).disabled = true;
  setSize(upload.width, upload.height);
  showStill(`/api/uploads/${upload.id}/image`);
  renderPeople();
}

export function toggle() {
  if (!shown?.isVideo) return;
  if (!shown.isPlayable) return step(1);
  if (video.paused) {
    shown.stopAt = shown.path = null;
    start();
  } else {
    video.pause();
  }
}

function start() {
  still.hidden = true;
  video.hidden = false;
  shown.people = [];
  $("hint").textContent = "Pause, then click a person.";
  overlay.replaceChildren();
  attempt(() => video.play().catch((error) => { if (error.name !== "AbortError" && shown.isPlayable) throw error; }));
}

// Goes to the indexed frame before or after.
export function step(direction) {
  if (!shown?.isVideo) return;
  video.pause();
  goTo(shown.time + direction / (shown.source.fps ?? 25));
}

export async function goTo(time) {
  shown.time = Math.min(Math.max(time, 0), Math.max((shown.source.duration ?? time) - 0.01, 0));
  video.currentTime = shown.time;
  await showPeople();
}

// Plays around a hit, the person boxed.
export async function playHit(source, hit) {
  if (shown?.source?.id !== source.id) open(source, Math.max(0, hit.first - AROUND));
  if (!shown.isVideo) return;
  const own = shown;
  own.path = hit.found_by === "index" ? await get(`/api/tracklets/${hit.id}/path`) : { times: [hit.time], boxes: [hit.box] };
  own.hit = hit;
  own.time = Math.max(0, hit.first - AROUND);
  own.stopAt = hit.last + AROUND;
  $("split").hidden = hit.found_by !== "index" || hit.first === hit.last;
  if (!own.isPlayable) return goTo(hit.time);
  video.currentTime = own.time;
  start();
}

// The people of the frame; the index's own are quick, the network's take a moment.
async function showPeople(withNetwork = false) {
  const own = shown;
  const asked = (own.asked = (own.asked ?? 0) + 1);
  await attempt(async () => {
    const base = `/api/sources/${own.source.id}`;
    const found = withNetwork ? await post(`${base}/detect`, { time: own.time }) : await get(`${base}/people?time=${own.time}`);
    if (shown !== own || own.asked !== asked || !(video.paused || !own.isVideo)) return; // an answer that is late
    own.people = found.people;
    own.time = found.time;
    if (own.isVideo && own.isPlayable && Math.abs(video.currentTime - found.time) > 0.001) video.currentTime = found.time + 0.001;
    if (own.isVideo && !own.isPlayable) showStill(`${base}/frame?time=${own.time}`);
    renderPeople();
  });
  showClock();
}

export function detect() {
  if (!shown?.source || $("detect").disabled) return;
  video.pause();
  showPeople(true);
}

export function choosePerson(number) {
  const person = shown?.people[number];
  if (person) choose(asQuery(person));
}

function asQuery(person) {
  const query = { box: person.box };
  if (shown.upload) query.upload = shown.upload.id;
  else Object.assign(query, { source: shown.source.id, time: shown.time });
  if (person.tracklet) query.tracklet = person.tracklet;
  return query;
}

// The image that a query's box is in, as the page shows it now, cut out for the list of queries.
export function cutOut(box) {
  const canvas = document.createElement("canvas");
  const [left, top, right, bottom] = box;
  const image = still.hidden ? video : still;
  const [width, height] = still.hidden ? [video.videoWidth, video.videoHeight] : [still.naturalWidth, still.naturalHeight];
  const scale = [width / shown.width, height / shown.height];
  canvas.height = 152;
  canvas.width = Math.max(30, Math.min(300, Math.round((152 * (right - left)) / (bottom - top))));
  canvas.getContext("2d").drawImage(image, left * scale[0], top * scale[1], (right - left) * scale[0], (bottom - top) * scale[1], 0, 0, canvas.width, canvas.height);
  return canvas;
}

function showStill(address) {
  still.src = address;
  still.hidden = false;
  video.hidden = true;
}

function setSize(width, height) {
  Object.assign(shown, { width: width || 16, height: height || 9 });
  overlay.setAttribute("viewBox", `0 0 ${shown.width} ${shown.height}`);
  for (const element of [video, still]) element.style.aspectRatio = `${shown.width} / ${shown.height}`;
}

function rectangle([left, top, right, bottom], kind) {
  const rect = document.createElementNS(SVG, "rect");
  const place = { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0), rx: 2, class: kind };
  for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
  return rect;
}

function renderPeople() {
  overlay.replaceChildren(...shown.people.map((person, number) => {
    const group = document.createElementNS(SVG, "g");
    const attributes = { class: "person", tabindex: 0, role: "button", "aria-label": `Look for person ${number + 1}` };
    for (const [name, value] of Object.entries(attributes)) group.setAttribute(name, value);
    const label = document.createElementNS(SVG, "text");
    const size = Math.max(shown.width / 42, 9);
    const place = { x: person.box[0] + size * 0.25, y: Math.max(person.box[1], 0) + size, "font-size": size };
    for (const [name, value] of Object.entries(place)) label.setAttribute(name, value);
    label.textContent = number + 1;
    group.append(rectangle(person.box, "box"), label);
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter") choosePerson(number);
    });
    group.dataset.number = number;
    return group;
  }));
  const number = shown.people.length;
  $("hint").textContent = number ? `${number} ${number === 1 ? "person" : "people"} in this frame: click one.` : "Nobody is indexed in this frame: find people here, or drag a box.";
}

function showClock() {
  $("clock").textContent = showTime(shown.time);
  seek.value = shown.time;
  $("play").textContent = video.paused ? "Play" : "Pause";
}

// The box of the hit that is played, between its indexed frames.
function follow() {
  const { times, boxes } = shown.path;
  const time = video.currentTime;
  overlay.replaceChildren();
  if (time < times[0] - 0.05 || time > times.at(-1) + 0.05) return;
  const after = Math.max(times.findIndex((other) => other >= time), 0);
  const before = Math.max(after - 1, 0);
  const span = times[after] - times[before];
  const share = span > 0 ? (time - times[before]) / span : 0;
  overlay.append(rectangle(boxes[before].map((side, index) => side + share * (boxes[after][index] - side)), "follow"));
}

function everyFrame() {
  if (shown?.isVideo && !video.paused) {
    shown.time = video.currentTime;
    if (shown.path) follow();
    if (shown.stopAt !== null && video.currentTime >= shown.stopAt) video.pause();
    showClock();
  }
  requestAnimationFrame(everyFrame);
}

function pointOf(event) {
  const frame = overlay.getScreenCTM().inverse();
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(frame);
  return [Math.min(Math.max(point.x, 0), shown.width), Math.min(Math.max(point.y, 0), shown.height)];
}

function listenToPointer() {
  let begin = null;
  const boxTo = ([x, y]) => [Math.min(begin[0], x), Math.min(begin[1], y), Math.max(begin[0], x), Math.max(begin[1], y)];
  overlay.addEventListener("pointerdown", (event) => {
    if (!shown) return;
    if (shown.isVideo && !video.paused) return void video.pause();
    begin = pointOf(event);
    begin.person = event.target.closest(".person");
    overlay.setPointerCapture(event.pointerId);
  });
  overlay.addEventListener("pointermove", (event) => {
    overlay.querySelector(".drag")?.remove();
    if (begin) overlay.append(rectangle(boxTo(pointOf(event)), "drag"));
  });
  overlay.addEventListener("pointerup", (event) => {
    if (!begin) return;
    overlay.querySelector(".drag")?.remove();
    const box = boxTo(pointOf(event));
    const isDrag = Math.min(box[2] - box[0], box[3] - box[1]) > shown.width / 80;
    const person = begin.person;
    begin = null;
    if (isDrag) choose(asQuery({ box }));
    else if (person) choosePerson(Number(person.dataset.number));
  });
  overlay.addEventListener("pointercancel", () => { begin = null; });
}

video.addEventListener("pause", () => {
  shown.time = video.currentTime;
  showPeople();
});
video.addEventListener("play", showClock);
video.addEventListener("loadedmetadata", () => {
  if (!shown?.isVideo) return;
  if (Number.isFinite(video.duration)) seek.max = video.duration;
  if (video.paused) showPeople();
});
video.addEventListener("error", () => {
  if (!shown?.isVideo || !video.hasAttribute("src")) return;
  shown.isPlayable = false; // the browser lacks its codec: frame by frame, from the app
  showPeople();
});
seek.addEventListener("input", () => {
  video.pause();
  goTo(Number(seek.value));
});
$("play").addEventListener("click", toggle);
$("back").addEventListener("click", () => step(-1));
$("forth").addEventListener("click", () => step(1));
$("detect").addEventListener("click", detect);
listenToPointer();
everyFrame();
