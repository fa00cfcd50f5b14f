// The box for the prompt. On a slow way to the service a prompt is seen to be sent, and what is typed
// meanwhile stays in the box, which gradio empties once the service has the prompt.
(() => {
  let sent = null; // the prompt that is on its way
  let typed = null; // what the box has since then

  const box = () => document.querySelector("#prompt textarea");

  function sending(prompt) {
    sent = prompt?.trim() ? prompt : null;
    typed = null;
    document.querySelector("#prompt").classList.toggle("rt-sending", sent !== null);
  }

  function arrived() {
    if (sent === null) return;
    const left = typed?.startsWith(sent) ? typed.slice(sent.length) : typed;
    sending(null);
    if (!left) return;
    requestAnimationFrame(() => {
      if (box().value) return;
      box().value = left;
      box().dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // After those that hold a prompt back until its files are there.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === box()) sending(box().value);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#prompt .submit-button")) sending(box().value);
  }, true);
  document.addEventListener("input", (event) => {
    if (sent === null || event.target !== box()) return;
    typed = box().value;
    document.querySelector("#prompt").classList.remove("rt-sending");
  }, true);
  document.addEventListener("router-asked", arrived);
})();
