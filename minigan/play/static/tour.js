// The guided tour: ten stops, each a preset, two sentences, and a task whose answer is checked.

const norm = (seen) => Math.hypot(seen.path[seen.path.length - 2], seen.path[seen.path.length - 1]);
const chosen = (start, names) => start.setup.penalties.some((way) => names.includes(way.split(":")[0]));
const BOUNDS = ["gradient-penalty", "one-sided-penalty", "r1", "r2", "dragan", "clip-weights", "spectral-norm"];

// Either `answer`, one of the choices a, b, c; or `done`, a condition on the game.
export const STOPS = [
  { preset: "ring", done: (start, seen) => seen.covered === 8 && seen.step > 0 },
  { preset: "d-wins", answer: "a" },
  { preset: "ring", answer: "b" },
  { preset: "vanishing", done: (start, seen) => start.setup.objective !== "saturating" && seen.step >= 50 },
  { preset: "collapse", answer: "a" },
  { preset: "dirac", done: (start, seen) => seen.path && chosen(start, ["r1"]) && norm(seen) < 0.1 },
  { preset: "exploding-critic", done: (start, seen) => chosen(start, BOUNDS) && seen.step >= 50 && !seen.trouble },
  { preset: "spectral", answer: "b" },
  { preset: "ring", answer: "b" },
  { preset: "moons", answer: "c" },
];
