// The latent space of a game of pictures: sliders, walks, and the nearest real picture.

import { decode, imageOf, short } from "./draw.js";
import { byId, make } from "./make.js";
import { ask } from "./net.js";
import { w } from "./words.js";

const SLIDERS = 8;
let z = [], before = null, zs = [], labels = null, label = null, size = 0, waiting = false, again = false;

export function showLatent(start) {
  byId("latent").hidden = !(start.kind === "pictures" && start.latent > 0);
  if (byId("latent").hidden) return;
  size = start.latent;
  [zs, labels, before] = [start.zs, start.labels, null];
  z = Array.from(zs.slice(0, size));
  classes(start.classes);
  sliders();
  explore();
}

function classes(known) {
  label = known.length ? known[0] : null;
  byId("latent-classes").replaceChildren(...known.map((n) => make("button", { type: "button", onclick: () => { label = n; explore(); } }, w("latent-class", { n }))));
}

function sliders() {
  byId("latent-sliders").replaceChildren(...z.slice(0, SLIDERS).map((value, i) => make("label", {}, `z${i + 1}`,
    make("input", { type: "range", min: -3, max: 3, step: 0.05, value, oninput: (e) => { z[i] = Number(e.target.value); explore(); } }))));
}

const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const another = () => Array.from({ length: size }, normal);

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
