// The latent space of a game of pictures: sliders, walks, and the nearest real picture.

import { decode, imageOf, short } from "./draw.js";
import { byId, make } from "./make.js";
import { ask } from "./net.js";
import { w } from "./words.js";

const SLIDERS = 8;
let z = [], before = null, zs = [], labels = null, label = null, size = 0, first = 0, uniform = false, waiting = false, again = false;

export function showLatent(start) {
  byId("latent").hidden = !(start.kind === "pictures" && start.latent > 0);
  if (byId("latent").hidden) return;
  [size, first, uniform] = [start.latent, 0, start.latent_kind === "uniform"];
  byId("latent-more").hidden = size <= SLIDERS;
  [zs, labels, before] = [start.zs, start.labels, null];
  z = Array.from(zs.slice(0, size));
  classes(start.classes);
  sliders();
  explore();
}

function classes(known) {
  const numbers = Object.keys(known).map(Number);
  label = numbers.length ? numbers[0] : null;
  byId("latent-classes").replaceChildren(...numbers.map((n) => make("button", { type: "button", "data-class": n, onclick: () => { label = n; explore(); } }, w("latent-class", { n: known[n] }))));
}

function classShown() {
  for (const button of byId("latent-classes").children) button.setAttribute("aria-pressed", String(button.dataset.class === String(label)));
}

function sliders() {
  const most = uniform ? 1 : 3, several = z.slice(first, first + SLIDERS);
  byId("latent-sliders").replaceChildren(...several.map((value, i) => make("label", {}, `z${first + i + 1}`,
    make("input", { type: "range", min: -most, max: most, step: 0.05, value, oninput: (e) => { z[first + i] = Number(e.target.value); explore(); } }))));
}

export function moreSliders() {
  first = first + SLIDERS < size ? first + SLIDERS : 0;
  sliders();
}

const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const another = () => Array.from({ length: size }, () => (uniform ? 2 * Math.random() - 1 : normal()));

export function newLatent() { chosen(another()); }

export function pickLatent(index) {
  if (labels) label = labels[index];
  chosen(Array.from(zs.slice(index * size, (index + 1) * size)));
}

function chosen(latent) {
  before = z;
  z = latent;
  sliders();
  explore();
}

export async function walkLatent() {
  const { z: path } = await ask("/walk", { start: before ?? another(), end: z, steps: 8 });
  await shown(path, false);
}

async function explore() {
  // One question at a time; the last position of a slider is what counts.
  if (waiting) { again = true; return; }
  waiting = true;
  classShown();
  try { await shown([z], true); } catch { /* the game has changed meanwhile */ }
  waiting = false;
  if (again) { again = false; explore(); }
}

async function shown(path, nearest) {
  const found = await ask("/explore", { z: path, label });
  const made = decode(found.pictures), real = found.nearest ? decode(found.nearest) : null;
  const figure = (pictures, i, words) => {
    const canvas = imageOf(pictures, i);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    return make("figure", {}, canvas, make("figcaption", {}, words));
  };
  const all = path.map((_, i) => figure(made, i, path.length > 1 ? `${i + 1}` : w("latent-made")));
  if (nearest && real) all.push(figure(real, 0, w("latent-nearest", { d: short(found.distance[0]) })));
  byId("latent-pictures").replaceChildren(...all);
}
