// Slow motion: the ten frames of one iteration, forwards and back.

import { decode, scatter, short } from "./draw.js";
import { byId, make } from "./make.js";
import { ask } from "./net.js";
import { w } from "./words.js";

const ARRAYS = ["fake", "real", "landscape", "arrows", "fake_after", "landscape_after"];
let frames = [], at = 0, sources = {}, layers = {}, timer = null, show = null, after = false, chosen = null;

export const slowOpen = () => !byId("slow").hidden;

export async function openSlow(nets, draw) {
  const found = await ask("/slow", {});
  sources = await ask("/sources");
  frames = found.frames.map(unpacked);
  [layers, show, at, chosen] = [nets, draw, 0, null];
  byId("slow").hidden = false;
  paint();
  byId("slow-title").focus();
}

export function closeSlow() {
  stop();
  byId("slow").hidden = true;
  show?.(null);
}

export function go(by) {
  if (at + by < 0 || at + by >= frames.length) { stop(); return; }
  at += by;
  paint();
}

export function goTo(index) { at = index; paint(); }

export function toggleAuto() {
  if (timer) { stop(); return; }
  timer = setInterval(() => go(1), 2500);
  byId("slow-auto").setAttribute("aria-pressed", "true");
}

function stop() {
  clearInterval(timer);
  timer = null;
  byId("slow-auto").setAttribute("aria-pressed", "false");
}

function unpacked(frame) {
  for (const name of ARRAYS) if (frame[name]) frame[name] = decode(frame[name]).data;
  for (const [name, pairs] of Object.entries(frame.cotangents ?? {})) frame.cotangents[name] = decode(pairs);
  return frame;
}

export function paint() {
  const frame = frames[at];
  if (!frame) return;
  const words = { loss: short(frame.loss), objective: frame.objective ?? "" };
  byId("slow-title").textContent = w("slow-title", { n: at + 1, title: w(`slow-${at}-title`) });
  byId("slow-text").textContent = w(`slow-${at}`, words);
  byId("slow-range").value = at;
  byId("slow-range").setAttribute("aria-valuetext", `${at + 1}: ${w(`slow-${at}-title`)}`);
  byId("slow-back").disabled = at === 0;
  byId("slow-next").disabled = at === frames.length - 1;
  byId("slow-layer").hidden = true;
  after = false;
  byId("slow-nets").replaceChildren(...nets(frame));
  byId("slow-more").replaceChildren(...more(frame));
  openAgain(frame);
  for (const canvas of byId("slow-more").querySelectorAll("canvas")) scatter(canvas, frame.cotangents);
  draw(frame);
}

function draw(frame) {
  const seen = { ...frame };
  if (after) {
    seen.fake = frame.fake_after ?? frame.fake;
    seen.landscape = frame.landscape_after ?? frame.landscape;
    if (frame.fake_after) seen.arrows = null;
  }
  show(seen);
}

// ---------------------------------------------------------------- the chains of layers

function nets(frame) {
  const names = { discriminator: "discriminator", generator: "generator" };
  const chains = frame.layers ?? {}, grey = frame.turn === "generator" && chains.discriminator;
  return Object.keys(names).filter((name) => chains[name]).flatMap((name) => {
    const title = name === "discriminator" && grey ? "discriminator-grey" : name;
    const boxes = frame.layers[name].map((layer) => box(frame, name, layer, most(frame, name)));
    const stop = frame.stop && name === "discriminator" ? [make("p", { class: "stop" }, `■ ${w("slow-stop")}`)] : [];
    return [make("h3", {}, w(title)),
      make("div", { class: `net${grey && name === "discriminator" ? " grey" : ""}`, role: "group", "aria-label": w(title) }, ...stop, ...boxes)];
  });
}

const kindOf = (frame) => ({ backward: "backward", step: "step" })[frame.key] ?? "forward";

function size(frame, layer) {
  if (frame.key === "backward") return layer.arrived?.norm ?? 0;
  if (frame.key === "step") return ratio(layer);
  return layer.left?.mean ?? 0;
}

function ratio({ moved, size }) {
  const total = (numbers) => Math.hypot(...Object.values(numbers));
  return Object.keys(moved).length ? total(moved) / (total(size) || 1) : 0;
}

const most = (frame, name) => Math.max(...frame.layers[name].map((layer) => size(frame, layer)), 1e-30);

function box(frame, net, layer, largest) {
  const value = size(frame, layer), kind = kindOf(frame), name = layers[net][layer.layer];
  const bar = make("span", { class: `bar ${kind === "backward" ? "down" : "up"}` });
  bar.style.height = `${Math.max(2, Math.round((64 * value) / largest))}px`;
  const label = w("layer-open", { name, what: w(`what-${kind}`), value: short(value) });
  const slope = kind === "backward" && learns(layer) ? [make("span", { class: "slope" }, `∇ ${short(Math.hypot(...Object.values(layer.gradients)))}`)] : [];
  return make("button", { class: "layer", type: "button", id: `layer-${net}-${layer.layer}`, "aria-label": [label, ...slope.map((s) => `${w("layer-gradients")} ${s.textContent}`)].join(" "),
    onclick: (e) => { chosen = { net, index: layer.layer }; open(e.currentTarget, frame, net, layer); } },
    bar, make("span", {}, short(value)), ...slope, make("span", {}, name.replace(/\(.*/, "")));
}

const learns = (layer) => Boolean(layer.param_grads && Object.keys(layer.gradients ?? {}).length);

function openAgain(frame) {
  // The layer that was chosen; on the way down, otherwise the one where it begins.
  const top = frame.key === "backward" ? { net: "discriminator", index: layers.discriminator.length - 1 } : null;
  const here = [chosen, top].find((place) => place && frame.layers?.[place.net]);
  const layer = here && frame.layers[here.net].find(({ layer: index }) => index === here.index);
  if (layer) open(byId(`layer-${here.net}-${here.index}`), frame, here.net, layer);
}

function open(button, frame, net, layer) {
  for (const other of byId("slow-nets").querySelectorAll("button")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  const kind = layers[net][layer.layer].replace(/\(.*/s, ""), way = frame.key === "backward" ? "backward" : "forward";
  const source = sources[kind];
  byId("slow-layer").hidden = false;
  const code = source ? [make("h3", {}, w("layer-source", { way })), make("pre", { tabindex: 0, "aria-label": `${kind}.${way}` }, source[way]),
    make("details", {}, make("summary", {}, kind), make("pre", { tabindex: 0, "aria-label": kind }, source.about))] : [];
  byId("slow-layer").replaceChildren(
    make("div", {}, make("h3", {}, `${w(net)}: ${layers[net][layer.layer]}`), make("div", { class: "charts" }, ...about(layer))), make("div", {}, ...code));
}

function about(layer) {
  if (layer.moved) return [make("div", {}, make("p", {}, w("layer-moved")), ...numbers(layer.moved, layer.size))];
  const part = (told, key) => make("div", {},
    make("p", {}, told ? w(key, { shape: `(${told.shape.join(", ")})` }) : w("layer-nothing")),
    ...(told ? [histogram(told.histogram), make("p", {}, w("layer-norm", { norm: short(told.norm) }))] : []));
  const gradients = learns(layer)
    ? [make("div", {}, make("p", {}, w("layer-gradients")), ...numbers(layer.gradients))] : [];
  return [part(layer.arrived, "layer-in"), part(layer.left, "layer-out"), ...gradients];
}

function numbers(told, beside = null) {
  return Object.entries(told).map(([name, value]) => make("p", {}, `${name}: ${short(value)}${beside ? ` / ${short(beside[name])}` : ""}`));
}

export function histogram({ low, high, counts }, colour = "", words = "") {
  const largest = Math.max(...counts, 1), total = counts.reduce((a, b) => a + b, 0);
  const bars = counts.map((count) => {
    const bar = make("i");
    bar.style.height = `${(100 * count) / largest}%`;
    return bar;
  });
  return make("div", {}, make("div", { class: `histogram ${colour}`, role: "img", "aria-label": `${words} ${total}: ${short(low)} … ${short(high)}` }, ...bars),
    make("p", {}, `${short(low)} … ${short(high)}`));
}

// ---------------------------------------------------------------- what else a frame shows

function more(frame) {
  const found = [];
  if (frame.logits) {
    found.push(make("div", { class: "charts" }, ...Object.entries(frame.logits).map(([name, told]) =>
      make("div", {}, make("p", {}, w(`logits-${name}`)), histogram(told, name, w(`logits-${name}`))))));
  }
  if (frame.cotangents) {
    found.push(make("p", { class: "why" }, w("cotangents")), make("canvas", { class: "scatter", role: "img", "aria-label": w("cotangents") }));
  }
  if (frame.walks?.length) {
    const walks = frame.walks.map(({ way }) => w(`way-${way}`)).join(", ");
    found.push(make("p", {}, w("slow-penalty", { walks, value: short(frame.penalty) })));
  }
  if (frame.landscape_after || frame.fake_after) found.push(flip(frame));
  return found;
}

function flip(frame) {
  const button = (name, value) => make("button", { type: "button", "aria-pressed": String(after === value), onclick: (e) => {
    after = value;
    for (const other of e.currentTarget.parentNode.children) other.setAttribute("aria-pressed", String(other === e.currentTarget));
    draw(frame);
  } }, w(name));
  return make("div", { class: "row", role: "group" }, button("before", false), button("after", true));
}
