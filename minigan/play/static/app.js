// The page: it shows what the server sends, and sends what is pressed. The game is the server's.

import * as drawing from "./draw.js";
import { buildForm, showSetup } from "./form.js";
import { moreSliders, newLatent, pickLatent, showLatent, walkLatent } from "./latent.js";
import { byId, make } from "./make.js";
import { ask, listen } from "./net.js";
import * as slow from "./slow.js";
import { STOPS } from "./tour.js";
import { setLanguage, w } from "./words.js";

const { decode, short } = drawing;
const LAYERS = ["landscape", "lattice", "real", "arrows", "fake"];
const MOST = 3000, RUN = "/run", TRAINED = "/pretrained:";
const UNDECIDED = { "non-saturating": 1.386, saturating: 1.386, "least-squares": 0.25, hinge: 2, relativistic: 0.693 };
const COLUMNS = ["step", "loss_d", "loss_g", "d_real", "d_fake"];

let about = null, start = null, seen = null, special = null, cursor = null, drawn = null, ready = false;
let curves = emptyCurves(), dirty = false, lastFinding = "";
const shown = Object.fromEntries(LAYERS.map((name) => [name, true]));

function emptyCurves() { return Object.fromEntries(COLUMNS.map((name) => [name, []])); }

// ---------------------------------------------------------------- what the server sends

function onStart(told) {
  start = { ...told };
  for (const name of ["real", "field"]) if (told[name] && told.kind !== "pictures") start[name] = decode(told[name]).data;
  if (told.z) start.zs = decode(told.z).data;
  curves = emptyCurves();
  loadCurves();
  [special, seen, cursor, picked, cell, pointed] = [null, null, null, null, null, null];
  if (slow.slowOpen()) slow.closeSlow();
  if (location.hash.slice(1) !== told.link) history.replaceState(null, "", told.link ? `#${told.link}` : location.pathname);
  settingsShown();
  byId("problem").textContent = "";
  showLatent(start);
  runShown();
}

async function loadCurves() {
  // What this page has missed of the game.
  const { shape, data } = decode((await ask("/curves")).curves), before = emptyCurves(), first = curves.step[0] ?? Infinity;
  for (let i = 0; i < shape[0]; i++) if (data[i * shape[1]] < first) COLUMNS.forEach((name, c) => before[name].push(data[i * shape[1] + c]));
  for (const name of COLUMNS) curves[name] = before[name].concat(curves[name]);
  repaint();
}

function settingsShown() {
  showSetup(start.setup, start.others, start.recipe);
  presetShown();
  legendShown();
  byId("export-python").hidden = Boolean(start.recipe);
  byId("export-recipe").hidden = start.kind === "dirac" || Boolean(start.recipe);
  byId("take-words").textContent = w(start.recipe ? "take-picture" : "take-words");
  for (const name of LAYERS) byId(`show-${name}`).parentNode.hidden = !(start.kind === "plane" || (start.kind === "dirac" && name === "arrows"));
}

function runShown() {
  const { run } = start, alone = Boolean(run) && run.steps.length < 2;
  byId("run").hidden = !run || alone;
  for (const id of ["transport", "transport-words"]) byId(id).hidden = alone;
  for (const id of ["step-d", "step-g", "slow-open"]) byId(id).hidden = Boolean(run);
  byId("step").textContent = w(run ? "run-next" : "step");
  byId("restart").textContent = w(run ? "run-first" : "restart");
  byId("transport-words").textContent = w(run ? "run-transport" : "transport-words");
  byId("form").inert = Boolean(run);
  byId("choices-words").textContent = w(alone ? "trained-words" : run ? "run-words" : "choices-words");
  if (run) byId("checkpoint").max = run.steps.length - 1;
}

function checkpointShown() {
  const { steps, name } = start.run, n = seen.checkpoint;
  const words = w("run-checkpoint", { n: n + 1, all: steps.length, step: steps[n].toLocaleString() });
  byId("run-words").textContent = `${w("run-title", { name })}. ${words}`;
  if (document.activeElement !== byId("checkpoint") || seen.playing) byId("checkpoint").value = n;
  byId("checkpoint").setAttribute("aria-valuetext", words);
}

function onFrame(told) {
  if (!start) return;
  for (const name of ["fake", "arrows", "landscape", "lattice", "path"]) if (told[name]) told[name] = decode(told[name]).data;
  if (told.pictures) told.pictures = decode(told.pictures);
  seen = told;
  remember(told);
  if (!dirty) { dirty = true; requestAnimationFrame(paint); }
}

function remember({ step, report }) {
  const last = curves.step[curves.step.length - 1] ?? -1;
  if (start.run || step <= last || report.loss_d === undefined) return;
  curves.step.push(step);
  for (const name of COLUMNS.slice(1)) curves[name].push(report[name] ?? NaN);
  if (curves.step.length > MOST) for (const name of COLUMNS) curves[name] = curves[name].filter((_, i) => i % 2 === 0);
}

// ---------------------------------------------------------------- painting

function paint() {
  dirty = false;
  if (!start || !seen) return;
  stage();
  numbers();
  drawCurves();
  doctor();
  transport();
  if (start.run) checkpointShown();
  tourChecked();
  document.body.dataset.step = seen.step;
}

function stage() {
  const canvas = byId("stage");
  if (start.kind === "pictures") drawing.pictures(canvas, start, seen, [picked, cell]);
  else if (start.kind === "dirac") drawing.dirac(canvas, start, seen, shown, cursor, { theta: w("theta"), psi: w("psi") });
  else {
    const what = special ?? { ...seen, real: start.real };
    drawing.plane(canvas, start, drawn ? { ...what, real: null, fake: null, arrows: null, lattice: null, landscape: null, drawn: drawn.flat() } : what, shown, cursor);
  }
  canvas.setAttribute("aria-label", spokenState());
}

const probabilistic = () => seen.probabilistic;

function numbers() {
  const r = seen.report, rows = [
    [w("iteration"), seen.step.toLocaleString()], ...(start.run ? [] : [[w("rate"), seen.playing ? short(seen.rate) : "–"]]),
    [w("steps-d"), seen.turns.discriminator.toLocaleString()], [w("steps-g"), seen.turns.generator.toLocaleString()],
    [w("loss-d"), short(r.loss_d)], [w("loss-g"), short(r.loss_g)],
    [w(probabilistic() ? "d-real" : "f-real"), short(r.d_real)], [w(probabilistic() ? "d-fake" : "f-fake"), short(r.d_fake)],
  ];
  if (r.penalty !== undefined) rows.push([w("penalty"), short(r.penalty)]);
  if (r.matching !== undefined) rows.push([w("matching"), short(r.matching)]);
  if (start.modes) rows.push([w("modes"), w("modes-of", { n: seen.covered ?? "–", all: start.modes })]);
  byId("numbers").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function drawCurves() {
  const line = (name, colour, dashed) => ({ values: curves[name], colour, dashed });
  const dashes = [5, 3], loss = byId("curve-loss"), d = byId("curve-d");
  const mark = UNDECIDED[start.setup.objective], half = probabilistic() ? 0.5 : undefined;
  drawing.curve(loss, curves.step, [line("loss_d", "d"), line("loss_g", "g", true)], { mark, dashes, at: pointed });
  drawing.curve(d, curves.step, [line("d_real", "real"), line("d_fake", "fake", true)], { mark: half, dashes, at: pointed });
  byId("curve-mark").textContent = mark === undefined ? "" : w("curve-mark", { loss: mark }) + (half ? w("curve-half") : "");
  byId("curve-at").textContent = curveWords();
  const r = seen.report;
  loss.setAttribute("aria-label", `${w("curve-loss")}: ${w("loss-d")} ${short(r.loss_d)}, ${w("loss-g")} ${short(r.loss_g)}`);
  d.setAttribute("aria-label", `${w("curve-d")}: ${w("on-reals")} ${short(r.d_real)}, ${w("on-fakes")} ${short(r.d_fake)}`);
}

// The numbers of the curves at a step, by pointer or arrow keys.
let pointed = null;

function curveWords() {
  if (pointed === null || !(pointed < curves.step.length)) return w("curve-hint");
  const numbers = Object.fromEntries(COLUMNS.map((name) => [name, short(curves[name][pointed])]));
  return w("curve-at", { ...numbers, step: curves.step[pointed].toLocaleString() });
}

function pointAt(index) {
  pointed = Math.min(Math.max(index, 0), curves.step.length - 1);
  repaint();
}

function curveControls(canvas) {
  const point = (event) => curves.step.length && pointAt(drawing.curveIndex(canvas, curves.step, event));
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { pointed = null; repaint(); } });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], last = curves.step.length - 1;
    if (!by || last < 0) return;
    event.preventDefault();
    pointAt((pointed ?? last) + by * Math.max(1, Math.round(last / 50)));
  });
}

const english = () => document.documentElement.lang === "en";

function troubleWords() {
  return english() ? seen.trouble : w("trouble", { step: seen.step.toLocaleString() });
}

function doctorWords() {
  if (seen.trouble) return troubleWords();
  if (start.kind === "dirac" || (start.run && !curves.step.length)) return w("doctor-none");
  if (seen.findings.length) return seen.findings.map(({ name }) => w(`find-${name}`)).join("; ");
  return w(seen.early ? "doctor-early" : "doctor-well");
}

function doctor() {
  const key = JSON.stringify([seen.trouble, seen.findings, seen.early, doctorWords()]);
  if (key === lastFinding) return;
  lastFinding = key;
  const found = seen.trouble ? [] : seen.findings;
  const words = found.map((f) => make("div", {}, make("p", {}, make("strong", {}, w(`find-${f.name}`))), make("p", {}, w(`advice-${f.name}`)),
    make("details", {}, make("summary", {}, w("doctor-said")), make("p", { lang: "en" }, f.evidence))));
  byId("doctor").replaceChildren(...(words.length ? words : [make("p", {}, seen.trouble ? make("strong", {}, troubleWords()) : doctorWords())]));
}

function transport() {
  const play = byId("play");
  if (play.dataset.playing !== String(seen.playing)) {
    play.dataset.playing = String(seen.playing);
    play.setAttribute("aria-pressed", String(seen.playing));
  }
  play.textContent = `${seen.playing ? "❚❚" : "▶"} ${w(seen.playing ? "pause" : "play")}`;
  play.disabled = Boolean(seen.trouble);
  if (document.activeElement !== byId("speed")) byId("speed").value = String(seen.speed);
}

function spokenState() {
  if (!seen) return w("stage");
  const r = seen.report, modes = start.modes ? w("spoken-modes", { n: seen.covered ?? "–", all: start.modes }) : "";
  return w("spoken", { state: w(seen.playing ? "playing" : "paused"), step: seen.step, loss_d: short(r.loss_d), loss_g: short(r.loss_g), d_real: short(r.d_real), d_fake: short(r.d_fake), modes, doctor: doctorWords() });
}

// ---------------------------------------------------------------- legend, presets, words

const SHAPES = {
  real: '<circle cx="8" cy="8" r="4" fill="var(--real)"/>', fake: '<path d="M4 4l8 8M4 12l8-8" stroke="var(--fake)" stroke-width="2.4"/>',
  landscape: '<rect x="1" y="3" width="5" height="10" fill="var(--fake)" opacity=".6"/><rect x="10" y="3" width="5" height="10" fill="var(--real)" opacity=".6"/>',
  arrows: '<path d="M2 13L13 3M13 3l-5 .6M13 3l-1 5" stroke="var(--arrow)" fill="none" stroke-width="1.5"/>', field: '<path d="M2 13L13 3M13 3l-5 .6M13 3l-1 5" stroke="var(--lattice)" fill="none" stroke-width="1.5"/>',
  lattice: '<path d="M1 5q7 4 14 0M1 11q7 4 14 0M5 1q4 7 0 14M11 1q4 7 0 14" stroke="var(--lattice)" fill="none"/>', path: '<path d="M2 12q5-12 10-4" stroke="var(--fake)" fill="none" stroke-width="2"/><circle cx="12" cy="8" r="3" fill="var(--fake)"/>',
  pictures: '<rect x="2" y="2" width="5" height="5" fill="var(--soft)"/><rect x="9" y="9" width="5" height="5" fill="var(--soft)"/>',
  chosen: '<rect x="2" y="2" width="12" height="12" fill="none" stroke="var(--accent)" stroke-width="2.4"/>', moved: '<rect x="2" y="2" width="12" height="12" fill="none" stroke="var(--fake)" stroke-width="2.4" stroke-dasharray="3 2"/>',
};

function legendShown() {
  const items = { plane: ["real", "fake", "landscape", "arrows", "lattice"], dirac: ["path", "field"], pictures: ["pictures", ...(start.latent ? ["chosen", "moved"] : [])] }[start.kind];
  byId("legend").replaceChildren(...items.map((name) => {
    const row = make("li"), icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "0 0 16 16"); icon.setAttribute("aria-hidden", "true"); icon.innerHTML = SHAPES[name];
    const relative = name === "landscape" && !start.probabilistic;
    row.append(icon, make("span", {}, w(`legend-${name}${relative ? "-relative" : ""}`)));
    return row;
  }));
  byId("readout").textContent = start.kind !== "pictures" ? w("readout-hint") : start.latent ? w("readout-pictures") : "";
}

function presetList() {
  const groups = Object.groupBy ? Object.groupBy(about.presets, (p) => p.group) : about.presets.reduce((all, p) => ({ ...all, [p.group]: [...(all[p.group] ?? []), p] }), {});
  const lists = Object.entries(groups).map(([name, presets]) => make("optgroup", { label: w(`group-${name}`) }, ...presets.map((p) => make("option", { value: p.name }, w(`preset-${p.name}-name`))),
    ...(name === "pictures" ? about.pretrained.map((p) => make("option", { value: TRAINED + p }, w(`pretrained-${p}`))) : [])));
  const run = about.run === null ? [] : [make("option", { value: RUN }, w("run-title", { name: about.run }))];
  byId("preset").replaceChildren(make("option", { value: "", disabled: true }, w("preset-own")), ...run, ...lists);
}

function presetShown() {
  const found = start.recipe ? null : about.presets.find((p) => p.link === start.link);
  byId("preset").value = start.run ? (start.run.pretrained && `${TRAINED}${start.run.pretrained}`) ?? RUN : found ? found.name : "";
  byId("preset").options[0].textContent = start.recipe ? w("preset-recipe", { name: start.recipe }) : w("preset-own");
  byId("preset-words").textContent = found ? w(`preset-${found.name}`) : "";
}

function translate() {
  for (const element of document.querySelectorAll("[data-w]")) element.textContent = w(element.dataset.w);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", w(element.dataset.label));
  for (const element of document.querySelectorAll("[data-title]")) element.title = w(element.dataset.title);
  byId("help-text").innerHTML = w("help-text");
  byId("shown").replaceChildren(...LAYERS.map((name) => make("label", { class: "mini" },
    make("input", { type: "checkbox", id: `show-${name}`, checked: shown[name], onchange: (e) => { shown[name] = e.target.checked; repaint(); } }), w(`show-${name}`))));
  buildForm(about, { change, drawing: sketch });
  presetList();
  if (start) { settingsShown(); runShown(); repaint(); }
  if (slow.slowOpen()) slow.paint();
  if (!byId("tour").hidden) tourShown();
}

function repaint() { lastFinding = ""; requestAnimationFrame(paint); }

// ---------------------------------------------------------------- what is pressed

async function tell(path, told) {
  try {
    const found = await ask(path, told);
    byId("problem").textContent = "";
    return found;
  } catch (error) {
    problem(error.message);
    if (start) showSetup(start.setup, start.others, start.recipe);
    return null;
  }
}

function problem(message) {
  // What the library says is English.
  byId("problem").replaceChildren(...(english() ? [message] : [w("problem-lead"), " ", make("span", { lang: "en" }, message)]));
}

const change = (changes) => tell("/set", { changes });
async function playing(on) {
  if (on && start.run && seen.over) await tell("/checkpoint", { index: 0 });
  const speed = Number(byId("speed").value);
  await tell("/play", { playing: on, speed: start.run ? speed || 5 : speed });  // as fast as it goes is too fast to be seen
}

function wanted(chosen) {
  if (chosen === RUN) return { run: true };
  return chosen.startsWith(TRAINED) ? { pretrained: chosen.slice(TRAINED.length) } : { preset: chosen };
}

const turn = (name) => tell("/step", { turn: name });

function openSlow() {
  return slow.openSlow(start.nets, (frame) => { special = frame; stage(); }).catch((error) => problem(error.message));
}

function press(id, action) { byId(id).addEventListener("click", action); }

function controls() {
  press("play", () => { slow.slowOpen() && slow.closeSlow(); playing(!seen?.playing); });
  press("step", () => turn("round")); press("step-d", () => turn("discriminator")); press("step-g", () => turn("generator"));
  press("restart", () => tell("/restart", {}));
  press("slow-open", openSlow); press("slow-again", openSlow); press("slow-close", () => { slow.closeSlow(); byId("slow-open").focus(); });
  press("slow-back", () => slow.go(-1)); press("slow-next", () => slow.go(1)); press("slow-auto", slow.toggleAuto);
  byId("slow-range").addEventListener("input", (e) => slow.goTo(Number(e.target.value)));
  byId("speed").addEventListener("change", () => playing(Boolean(seen?.playing)));
  byId("preset").addEventListener("change", (e) => tell("/set", wanted(e.target.value)));
  byId("checkpoint").addEventListener("input", (e) => tell("/checkpoint", { index: Number(e.target.value) }));
  press("say", say);
  press("copy", copy); press("picture", savePicture);
  press("help-open", () => byId("help").showModal());
  press("latent-new", newLatent); press("latent-more", moreSliders); press("latent-walk", () => walkLatent().catch(() => {}));
  press("tour-open", () => tourTo(0)); press("tour-close", closeTour);
  press("tour-back", () => tourTo(stop - 1)); press("tour-next", () => tourTo(stop + 1));
  byId("theme").addEventListener("change", (e) => theme(e.target.value));
  byId("language").addEventListener("change", (e) => { setLanguage(e.target.value); remembered("language", e.target.value); translate(); });
  window.addEventListener("keydown", keys);
  window.addEventListener("resize", repaint);
  window.addEventListener("hashchange", () => ready && location.hash.slice(1) !== start?.link && tell("/set", { link: location.hash.slice(1) }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  stageControls();
  for (const id of ["curve-loss", "curve-d"]) curveControls(byId(id));
}

function say() {
  byId("spoken").textContent = "";
  requestAnimationFrame(() => { byId("spoken").textContent = spokenState(); });
}

async function copy() {
  const link = `${location.origin}/${start.link ? `#${start.link}` : ""}`;
  try { await navigator.clipboard.writeText(link); byId("copied").textContent = w("copied"); } catch { byId("copied").textContent = link; }
}

function savePicture() {
  byId("stage").toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: `minigan-${seen.step}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(`minigan-${name}`);
    localStorage.setItem(`minigan-${name}`, value);
  } catch { /* a browser may forbid it */ }
  return null;
}

function theme(name) {
  remembered("theme", name);
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  repaint();
}

const KEYS = {
  " ": () => byId("play").click(), d: () => turn("discriminator"), g: () => turn("generator"), n: () => turn("round"), r: () => tell("/restart", {}),
  m: openSlow, s: say, t: () => tourTo(0), "?": () => byId("help").showModal(),
};

function keys(event) {
  const typing = event.target.closest("input, select, textarea, dialog"), button = event.target.closest("button, a, summary");
  if (event.ctrlKey || event.metaKey || event.altKey || !start) return;
  if (event.key === "Escape" && slow.slowOpen()) { slow.closeSlow(); byId("slow-open").focus(); return; }
  if (typing || (button && event.key === " ") || (drawn && event.key === " ")) return;
  if (slow.slowOpen() && !event.target.closest("canvas") && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    event.preventDefault();
    slow.go(event.key === "ArrowLeft" ? -1 : 1);
    return;
  }
  const key = event.key.toLowerCase(), action = KEYS[key];
  if (action && !(start.run && "dgm".includes(key))) { event.preventDefault(); action(); }
}

// ---------------------------------------------------------------- the cursor, and points of one's own

let asking = false;

async function probe(x, y) {
  if (asking || !start || start.kind === "pictures") return;
  if (slow.slowOpen()) { byId("readout").textContent = w("readout-slow"); return; }  // the game is further already
  asking = true;
  try {
    const told = await ask("/probe", { x, y });
    const [p, q] = [short(x), short(y)];
    if (start.kind === "dirac") byId("readout").textContent = w("readout-dirac", { x: p, y: q });
    else {
      const probability = told.probability === undefined ? "" : w("readout-probability", { p: short(told.probability) });
      byId("readout").textContent = w("readout-plane", { x: p, y: q, logit: short(told.logit), probability, u: short(told.push[0]), v: short(told.push[1]) });
    }
  } catch { /* the next movement asks again */ }
  asking = false;
}

// The sample that was chosen, and the one that the arrow keys are at.
let picked = null, cell = null;

function pick(index) {
  if (index === null || index >= seen.pictures.shape[0] || !start.latent) return;
  picked = index;
  pickLatent(index);
  byId("readout").textContent = w("latent-chosen", { n: index + 1 });
  stage();
}

function cellMoved(key) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -start.columns, ArrowDown: start.columns }[key];
  const to = cell === null ? 0 : cell + by;
  if (to >= 0 && to < seen.pictures.shape[0]) cell = to;
  stage();
}

function placeOf(event) {
  const box = byId("stage").getBoundingClientRect();
  return drawing.toPlane(start.limits, box.width, box.height, event.clientX - box.left, event.clientY - box.top);
}

function stageControls() {
  const canvas = byId("stage");
  canvas.addEventListener("pointermove", (event) => {
    if (!start?.limits) return;
    const [x, y] = placeOf(event);
    if (drawn && event.buttons) addPoint(x, y);
    probe(x, y);
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (start?.kind === "pictures" && seen?.pictures) pick(drawing.cellAt(canvas, start, seen, event));
    if (!start?.limits) return;
    cursor = null;
    if (drawn) { event.preventDefault(); addPoint(...placeOf(event)); } else probe(...placeOf(event));
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (start?.limits && move) {
      event.preventDefault();
      const [x0, x1, y0, y1] = start.limits, by = (x1 - x0) / 40, [x, y] = cursor ?? [(x0 + x1) / 2, (y0 + y1) / 2];
      cursor = [Math.min(x1, Math.max(x0, x + move[0] * by)), Math.min(y1, Math.max(y0, y + move[1] * by))];
      probe(...cursor);
      stage();
    } else if (start?.kind === "pictures" && start.latent && seen?.pictures && (event.key.startsWith("Arrow") || event.key === "Enter")) {
      event.preventDefault();
      if (event.key === "Enter") pick(cell); else cellMoved(event.key);
    } else if (drawn && cursor && event.key === "Enter") { event.preventDefault(); addPoint(...cursor); }
  });
}

function addPoint(x, y) {
  const last = drawn[drawn.length - 1], least = (start.limits[1] - start.limits[0]) / 150;
  if (drawn.length >= about.most_points || (last && Math.hypot(last[0] - x, last[1] - y) < least)) return;
  drawn.push([Number(x.toFixed(3)), Number(y.toFixed(3))]);
  stage();
}

const sketch = {
  async toggle() {
    if (drawn) { this.end(); return; }
    if (start.kind !== "plane") await tell("/set", { preset: "ring" });
    await playing(false);
    drawn = [];
    this.shown(true);
    byId("stage").focus();
    stage();
  },
  clear() { drawn = []; stage(); },
  async use() {
    const points = drawn;
    if (await change({ data: "drawn", points })) this.end();
  },
  end() { drawn = null; this.shown(false); repaint(); },
  shown(on) {
    for (const id of ["draw-done", "draw-clear", "draw-hint"]) byId(id).hidden = !on;
    byId("draw").setAttribute("aria-pressed", String(on));
    byId("stage").classList.toggle("drawing", on);
  },
};

// ---------------------------------------------------------------- the tour

let stop = -1, solved = false;

async function tourTo(index) {
  if (index < 0 || index >= STOPS.length) { closeTour(); return; }
  [stop, solved] = [index, false];
  byId("tour").hidden = false;
  tourShown();
  byId("tour-title").focus();
  await tell("/set", { preset: STOPS[index].preset });
}

function tourShown() {
  const n = stop + 1, { answer } = STOPS[stop];
  byId("tour-title").textContent = w("tour-title", { n, title: w(`tour-${n}-title`) });
  byId("tour-text").textContent = w(`tour-${n}`);
  byId("tour-question").textContent = w(`tour-${n}-task`);
  byId("tour-verdict").textContent = solved ? w("answer-right") : answer ? "" : w("answer-wait");
  byId("tour-answers").replaceChildren(...(answer ? ["a", "b", "c"].map((letter) => make("button", { type: "button", onclick: () => judge(letter === answer) }, w(`tour-${n}-${letter}`))) : []));
  byId("tour-back").disabled = stop === 0;
  byId("tour-next").textContent = w(stop === STOPS.length - 1 ? "close" : "next");
}

function judge(right) {
  solved = right;
  byId("tour-verdict").textContent = w(right ? "answer-right" : "answer-wrong");
}

function tourChecked() {
  if (stop < 0 || solved || !STOPS[stop].done) return;
  if (STOPS[stop].done(start, seen)) judge(true);
}

function closeTour() {
  stop = -1;
  byId("tour").hidden = true;
  byId("tour-open").focus();
}

// ---------------------------------------------------------------- the beginning

async function begin() {
  about = await ask("/about");
  const language = remembered("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  setLanguage(language);
  byId("language").value = language;
  byId("theme").value = remembered("theme") ?? "auto";
  theme(byId("theme").value);
  translate();
  controls();
  const wanted = location.hash.slice(1);
  if (wanted) await tell("/set", { link: wanted });
  ready = true;
  listen({ start: onStart, frame: onFrame, gone: (gone) => { byId("gone").hidden = !gone; } });
}

begin().catch(() => { byId("gone").hidden = false; byId("gone").textContent = w("gone"); });
