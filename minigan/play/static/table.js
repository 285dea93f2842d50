// Two columns of numbers in a table that was pasted or read from a file.

const SEPARATORS = [";", "\t", ","];

export function pointsOf(text) {
  // Lines without two numbers, such as a header or one with a missing value, are left out.
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/).filter((line) => line.trim());
  const separator = SEPARATORS.find((mark) => lines.filter((line) => line.includes(mark)).length > lines.length / 2);
  const rows = lines.map((line) => (separator ? line.split(separator) : line.trim().split(/\s+/)).map(unquoted));
  const taken = columnsOf(rows, !separator), decimal = separator === "," ? "." : ",";
  const found = rows.map((row) => [row, taken.map((column) => number(row[column] ?? "", decimal))]);
  const kept = found.filter(([, point]) => point.every(Number.isFinite));
  return { points: kept.map(([, point]) => point), taken, columns: Math.max(0, ...kept.map(([row]) => row.length)) };
}

const unquoted = (field) => field.trim().replace(/^"(.*)"$/, "$1").trim();

const number = (field, decimal) => (field === "" ? NaN : Number(field.replace(decimal, ".")));

function columnsOf(rows, blanks) {
  const names = rows.map((row) => row.map((field) => field.toLowerCase())).find((row) => row.includes("x") && row.includes("y"));
  if (!names) return rows.length && rows[0].length > 2 && rows[0][0] === "" ? [1, 2] : [0, 1];
  // Between blanks, a column without a name, such as pandas' numbers of the rows, has no place in the header.
  const shift = blanks ? rows[rows.length - 1].length - names.length : 0;
  return ["x", "y"].map((name) => names.indexOf(name) + shift);
}

export function wholeLines(text) { return text.slice(0, text.lastIndexOf("\n") + 1); }
