// What a search found: lanes of camera × time, one card a tracklet, marks, selection.

import { $, attempt, make, post } from "./api.js";

let search = null; // the last answer
const right = new Set(), wrong = new Set(), selected = new Set();
let position = -1;
let actions = {}; // play(hit), add(hit), again(): of the page

export function connect(callbacks) {
  actions = callbacks;
}

export function currentSearch() {
  return search;
}

export function selectedRanks() {
  return (search?.hits ?? []).filter((hit) => selected.has(hit.id)).map((hit) => hit.rank);
}

export function forgetMarks() {
  right.clear();
  wrong.clear();
}

export function clear() {
  search = null;
  forgetMarks();
  selected.clear();
  $("found").hidden = true;
}

export function show(answer) {
  search = answer;
  for (const id of [...selected]) if (!answer.hits.some((hit) => hit.id === id)) selected.delete(id);
  position = -1;
  $("found").hidden = false;
  const cameras = new Set(answer.hits.map((hit) => hit.camera)).size;
  const number = answer.hits.length;
  $("number").textContent = number ? `${number} ${number === 1 ? "hit" : "hits"} in ${cameras} ${cameras === 1 ? "camera" : "cameras"}` : "No hits. Loosen the filters?";
  $("calibration").textContent = answer.calibrated ? "Probabilities come from a calibration on other people." : "Similarities are uncalibrated.";
  renderLanes();
  renderCards();
  showSelection();
}

function thumbnail(hit) {
  return `/api/searches/${search.id}/thumbnails/${hit.rank}/0`;
}

function markOf(id) {
  return right.has(id) ? "right" : wrong.has(id) ? "wrong" : "";
}

function renderLanes() {
  const lanes = search.lanes.map((lane) => {
    const track = make("div", { className: "track" });
    for (const bar of lane.bars) {
      const hit = search.hits[bar.rank - 1];
      const button = make("button", { type: "button", title: bar.title, className: markOf(hit.id) }, make("img", { src: thumbnail(hit), alt: `hit ${hit.rank}` }));
      Object.assign(button.style, { left: `min(${bar.left}%, calc(100% - 30px))`, width: `${bar.width}%`, opacity: bar.opacity });
      button.addEventListener("click", () => goTo(bar.rank - 1));
      track.append(button);
    }
    return make("div", { className: "lane" }, make("span", { textContent: lane.name }), track);
  });
  const ends = make("div", { className: "ends" }, make("span", { textContent: search.begin }), make("span", { textContent: search.axis }), make("span", { textContent: search.end }));
  $("lanes").replaceChildren(...lanes, ...(lanes.length ? [make("div", { className: "lane" }, make("span"), ends)] : []));
}

function renderCards() {
  $("hits").replaceChildren(...search.hits.map((hit, index) => {
    const card = $("card").content.cloneNode(true).firstElementChild;
    const part = (name) => card.querySelector(name);
    part(".shot img").src = thumbnail(hit);
    part(".shot").setAttribute("aria-label", `Play hit ${hit.rank}: ${hit.camera}, ${hit.place}`);
    part(".rank").textContent = hit.rank;
    part(".similarity b").textContent = hit.similarity.toFixed(2);
    part(".similarity span").textContent = hit.probability === null ? "similar" : `${Math.round(100 * hit.probability)} % the same`;
    part(".meter i").style.width = `${Math.max(0, Math.min(1, hit.similarity)) * 100}%`;
    part(".where").textContent = hit.camera;
    const how = hit.found_by === "index" ? `${hit.frames} ${hit.frames === 1 ? "image" : "images"}` : "second look";
    part(".when").textContent = `${hit.place} · ${how}`;
    part(".by-clock").textContent = hit.clock_first ?? "";
    card.className = `card ${markOf(hit.id)}`;
    part('[data-do="right"]').setAttribute("aria-pressed", right.has(hit.id));
    part('[data-do="wrong"]').setAttribute("aria-pressed", wrong.has(hit.id));
    part('[data-do="select"]').checked = selected.has(hit.id);
    if (hit.found_by !== "index") for (const name of ["right", "wrong"]) part(`[data-do="${name}"]`).disabled = true;
    card.addEventListener("click", (event) => {
      const wanted = event.target.closest("[data-do]")?.dataset.do;
      setPosition(index);
      if (wanted) act(wanted);
    });
    return card;
  }));
}

export function act(what) {
  const hit = search?.hits[position];
  if (!hit) return;
  if (what === "play") actions.play(hit);
  else if (what === "add") actions.add(hit, thumbnail(hit));
  else if (what === "select") toggleSelection(hit);
  else if (hit.found_by === "index") mark(hit, what);
}

async function mark(hit, what) {
  const [on, off] = what === "right" ? [right, wrong] : [wrong, right];
  off.delete(hit.id);
  if (!on.delete(hit.id)) on.add(hit.id);
  await attempt(async () => {
    show(await post(`/api/searches/${search.id}/marks`, { right: [...right], wrong: [...wrong] }));
    const again = search.hits.findIndex((other) => other.id === hit.id);
    if (again >= 0) setPosition(again);
  });
}

function toggleSelection(hit) {
  if (!selected.delete(hit.id)) selected.add(hit.id);
  $("hits").children[position].querySelector('[data-do="select"]').checked = selected.has(hit.id);
  showSelection();
}

function showSelection() {
  $("merge").disabled = selected.size < 2;
  $("delete").disabled = selected.size < 1;
  for (const [id, name] of [["clips", "Clips"], ["csv", "CSV"], ["report", "Report"]]) {
    $(id).textContent = selected.size ? `${name} (${selected.size})` : name;
    $(id).disabled = !search?.hits.length;
  }
}

function setPosition(index) {
  position = index;
  [...$("hits").children].forEach((card, number) => card.classList.toggle("current", number === index));
}

export function goTo(index) {
  if (!search?.hits.length) return;
  setPosition(Math.min(Math.max(index, 0), search.hits.length - 1));
  const card = $("hits").children[position];
  card.scrollIntoView({ block: "nearest", behavior: "smooth" });
  card.focus({ preventScroll: true });
}

export function move(by) {
  goTo(position + by);
}

// Tracklets that are corrected have other ids or embeddings: marks of what is gone are dropped.
async function correct(path, body, gone) {
  await attempt(async () => {
    await post(path, body);
    for (const id of gone) for (const set of [right, wrong, selected]) set.delete(id);
    await actions.again();
  });
}

export function split(hit, time) {
  return correct(`/api/tracklets/${hit.id}/split`, { time }, [hit.id]);
}

export function marks() {
  return { right: [...right], wrong: [...wrong] };
}

$("merge").addEventListener("click", () => correct("/api/tracklets/merge", { ids: [...selected] }, [...selected]));
$("delete").addEventListener("click", () => {
  const number = selected.size;
  if (confirm(`Delete ${number} ${number === 1 ? "tracklet" : "tracklets"} with embeddings and thumbnails from the index, for good? The videos stay as they are.`)) {
    correct("/api/tracklets/delete", { ids: [...selected] }, [...selected]);
  }
});
