// The choices: a form made from what the server says can be chosen.

import { byId, make } from "./make.js";
import { pointsOf, wholeLines } from "./table.js";
import { w } from "./words.js";

const GROUPS = [
  ["set-objective", ["objective", "smoothing", "discriminator_steps"]],
  ["set-generator", ["g_layers", "g_width", "g_activation", "g_norm", "latent", "latent_kind", "average"]],
  ["set-discriminator", ["d_layers", "d_width", "d_activation", "d_norm"]],
  ["set-training", ["optimizer", "lr_generator", "lr_discriminator", "beta1", "beta2", "batch_size", "initial", "schedule", "steps", "seed"]],
];

const SCHEDULES = ["constant", "linear", "linear:0.5", "cosine", "warmup:500", "warmup:500+cosine"];

const LARGEST = 2 ** 20;  // bytes of a file of points

let about = null, change = null, drawing = null;

export function buildForm(told, callbacks) {
  about = told;
  ({ change, drawing } = callbacks);
  const form = byId("form");
  const [first, ...others] = GROUPS.map(([title, names]) => group(title, ...names.map(field)));
  const schedules = make("datalist", { id: "schedules" }, ...SCHEDULES.map((value) => make("option", { value })));
  form.replaceChildren(dataGroup(), first, tameGroup(), ...others, schedules);
  form.addEventListener("submit", (event) => event.preventDefault());
}

// What they have in common is explained once.
const SHARED = { lr_generator: "lr", lr_discriminator: "lr" };
const explained = (name) => SHARED[name] ?? name.replace(/^[gd]_/, "");

const OPEN = ["set-data", "set-objective"];

function group(title, ...inside) {
  // Whether it was open before the form was made again, in another language for instance.
  const before = byId(title), open = before ? before.open : OPEN.includes(title);
  return make("details", { class: "group", id: title, open }, make("summary", {}, w(title)), ...inside);
}

function field(name) {
  // The explanation of an objective is that of the one that is chosen.
  const control = input(name);
  control.setAttribute("aria-describedby", `about-${name}`);
  return make("div", {}, make("label", { class: "field" }, make("span", {}, w(name)), control),
    make("p", { class: "why", id: `about-${name}` }, name === "objective" ? "" : w(`about-${explained(name)}`)));
}

function input(name) {
  if (about.choices[name]) {
    const options = about.choices[name].map((value) => make("option", { value }, name === "data" ? w(`data-${value}`) : value));
    return make("select", { id: `choice-${name}`, onchange: (e) => change({ [name]: e.target.value }) }, ...options);
  }
  const range = about.ranges[name];
  if (!range) return make("input", { id: `choice-${name}`, list: "schedules", onchange: (e) => change({ [name]: e.target.value }) });
  const whole = about.whole.includes(name);
  return make("input", {
    id: `choice-${name}`, type: "number", min: range[0], max: range[1], step: whole ? 1 : "any",
    onchange: (e) => {
      const value = Number(e.target.value), [least, most] = range;
      if (e.target.value === "" || value < least || value > most) refuse(w("out-of-range", { name: w(name), least, most }));
      else change({ [name]: value });
    },
  });
}

function dataGroup() {
  return group("set-data", field("data"), field("spread"),
    make("div", { class: "row" },
      make("button", { type: "button", id: "draw", "aria-pressed": "false", onclick: () => drawing.toggle() }, w("draw")),
      make("button", { type: "button", id: "draw-done", hidden: true, onclick: () => drawing.use() }, w("draw-done")),
      make("button", { type: "button", id: "draw-clear", hidden: true, onclick: () => drawing.clear() }, w("draw-clear"))),
    make("p", { class: "why", id: "draw-hint", hidden: true }, w("draw-hint")),
    make("details", {}, make("summary", {}, "CSV"),
      make("label", {}, w("csv"), make("textarea", { id: "csv", spellcheck: "false" })),
      make("label", {}, w("csv-file"), make("input", { type: "file", id: "csv-file", accept: ".csv,.tsv,.txt,text/csv,text/plain", onchange: readFile })),
      make("button", { type: "button", id: "csv-use", onclick: usePasted }, w("csv-use")),
      make("p", { class: "why", id: "csv-told", role: "status" })));
}

function refuse(words) { byId("problem").textContent = words; }

function tell(words) { byId("csv-told").textContent = words; }

async function readFile(event) {
  const [file] = event.target.files;
  if (!file) return;
  const text = await file.slice(0, LARGEST).text(), cut = file.size > LARGEST;
  byId("csv").value = cut ? wholeLines(text) : text;
  tell(cut ? w("csv-cut") : "");
}

function usePasted() {
  const { points, taken, columns } = pointsOf(byId("csv").value), most = about.most_points;
  tell("");
  if (points.length < 2) { refuse(w("csv-none")); return; }
  if (columns > 2) tell(w("csv-taken", { a: taken[0] + 1, b: taken[1] + 1, all: columns }));
  const every = Math.ceil(points.length / most);
  change({ data: "drawn", points: points.filter((_, i) => i % every === 0) });
}

function tameGroup() {
  const ways = Object.entries(about.ways).map(([name, { strength }]) => make("div", { class: "way" },
    make("input", { type: "checkbox", id: `way-${name}`, "aria-describedby": `why-${name}`, onchange: changeWays }),
    make("label", { for: `way-${name}` }, name),
    make("input", { type: "number", id: `strength-${name}`, value: strength, min: 0, step: "any", "aria-label": w("strength", { name }), onchange: () => byId(`way-${name}`).checked && changeWays() }),
    make("span", {}), make("p", { class: "why", id: `why-${name}` }, w(`way-${name}`)), make("span", {})));
  return group("set-tame", make("p", { class: "why" }, w("about-penalties")), ...ways);
}

function changeWays() {
  const names = Object.keys(about.ways).filter((name) => byId(`way-${name}`).checked);
  change({ penalties: names.map((name) => `${name}:${byId(`strength-${name}`).value}`) });
}

export function showSetup(setup, others, recipe) {
  for (const name of [...Object.keys(about.choices), ...Object.keys(about.ranges), "schedule"]) {
    const element = byId(`choice-${name}`);
    if (element && document.activeElement !== element) show(element, others[name] ?? setup[name], name in others);
  }
  const given = Object.fromEntries(setup.penalties.map((way) => [way.split(":")[0], way.split(":")[1]]));
  for (const name of Object.keys(about.ways)) {
    byId(`way-${name}`).checked = name in given;
    if (given[name]) byId(`strength-${name}`).value = given[name];
  }
  byId("about-objective").textContent = others.objective ? "" : w(`about-${setup.objective}`);
  grey(setup, recipe);
}

function show(element, value, foreign) {
  // What isn't a choice, as the data of a recipe, gets an option for as long as it is shown.
  for (const option of element.querySelectorAll("option.foreign")) option.remove();
  if (foreign && element.options) element.append(make("option", { class: "foreign", value }, String(value)));
  element.value = value;
}

function grey(setup, recipe) {
  // What has no effect on this game can't be changed.
  const pictures = ["digits", "avatars"].includes(setup.data), dirac = setup.data === "dirac";
  const nets = recipe || pictures || dirac;
  for (const name of ["g_layers", "g_width", "g_activation", "g_norm", "d_layers", "d_width", "d_activation", "d_norm", "initial", "latent", "latent_kind"]) {
    byId(`choice-${name}`).disabled = Boolean(nets);
  }
  for (const id of ["choice-data", "draw", "csv-use"]) byId(id).disabled = Boolean(recipe);
  byId("choice-spread").disabled = Boolean(nets) || setup.data === "drawn";
  byId("choice-batch_size").disabled = dirac;
  for (const name of ["beta1", "beta2"]) byId(`choice-${name}`).disabled = setup.optimizer !== "adam";
}
