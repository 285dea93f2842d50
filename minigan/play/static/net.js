// What the page asks the server for.

export async function ask(path, told) {
  const answer = await fetch(path, told === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(told),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

export function listen({ start, frame, gone }) {
  // The browser opens the stream again by itself if it breaks off.
  const events = new EventSource("/events");
  events.addEventListener("start", (event) => { gone(false); start(JSON.parse(event.data)); });
  events.addEventListener("frame", (event) => frame(JSON.parse(event.data)));
  events.addEventListener("error", () => gone(true));
}
