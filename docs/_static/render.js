// Replace the LaTeX source of every formula by its picture. A formula that KaTeX can't read is marked, and
// `python docs/build.py check` looks for the mark.
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(".math")) {
    const displayMode = element.classList.contains("display");
    katex.render(element.textContent, element, { displayMode, throwOnError: false, errorColor: "#b00020" });
  }
});
