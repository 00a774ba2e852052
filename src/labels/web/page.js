"use strict";

const element = (id) => document.getElementById(id);

let labeler = "";
let question = null;
let shownAt = 0;
let busy = false;
let timer = 0;
// State that the page shows: a key of `notices`, or "" after a failed request.
let state = "";

const post = async (path, body) => {
  const send = () => fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ labeler, ...body }),
    // A connection that hangs counts as lost.
    signal: AbortSignal.timeout(15000),
  });
  // One of many connections may end before it is served, so the request is sent again. An answer that comes twice
  // counts once.
  const again = (error) => {
    if (error.name !== "TypeError" || !["/api/next", "/api/answer"].includes(path)) throw error;
    return send();
  };
  const response = await send().catch(again);
  const answer = await response.json();
  if (!response.ok) {
    throw Object.assign(new Error(answer.error), { status: response.status });
  }
  return answer;
};

const say = (text) => { element("notice").textContent = text; };

const percent = ({ pairs, same }) => `${Math.round((100 * same) / pairs)}% of ${pairs}`;

const showProgress = (progress) => {
  // Before the first round, it is not known how many labels are wanted.
  const isCounted = progress.wanted > 0;
  const parts = isCounted ? [`${progress.labels} of ${progress.wanted} ${progress.unit}`] : [];
  parts.push(`${progress.yours} yours`);
  if (progress.seconds_a_label !== null) parts.push(`${progress.seconds_a_label.toFixed(1)} s each`);
  if (progress.agreement_with_self.pairs) parts.push(`agreement with yourself ${percent(progress.agreement_with_self)}`);
  if (progress.agreement_of_all.pairs) parts.push(`among all ${percent(progress.agreement_of_all)}`);
  element("status").textContent = parts.join(" · ");
  element("progress").max = progress.wanted;
  element("progress").value = progress.labels;
  element("progress").hidden = !isCounted;
  element("stop").hidden = !progress.stop_switch;
};

const choice = (text, place) => {
  const key = document.createElement("kbd");
  key.textContent = place + 1;
  const response = document.createElement("span");
  response.className = "response";
  // Line breaks at the start are shown as a sign, not as a gap.
  response.textContent = text.replace(/^\s*\n\s*/, "⏎ ").trim();
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-keyshortcuts", place + 1);
  button.append(key, response);
  button.addEventListener("click", () => answer(place));
  const item = document.createElement("li");
  item.append(button);
  return item;
};

// One timer is enough, because the reply to any other request brings the same.
const askAgain = (ms) => { timer = setTimeout(() => request("/api/next", {}), ms); };

const notices = {
  question: "",
  wait: "The model is writing the next ones …",
  later: "The model is learning from these labels; more questions follow.",
  training: "All labels are there. Thank you! The model is learning from them now; you may close this page, or leave it open to see the end, or to stop it.",
  stopped: "This was stopped before its end. What was answered is saved.",
  done: "All answers are there. Thank you! You may close this page.",
};

const show = (view) => {
  showProgress(view.progress);
  question = view.question ?? null;
  element("question").hidden = !question;
  element("undo").hidden = ["training", "stopped", "done"].includes(view.state);
  // A notice is set only once, so that it is read out once and other messages stay.
  if (view.state !== state || question) say(notices[view.state]);
  state = view.state;
  // The page asks often enough to learn of the end before the server stops.
  if (["wait", "later", "training"].includes(view.state)) askAgain(400);
  // The same command may resume the run.
  if (view.state === "stopped") askAgain(2000);
  if (!question) return;
  element("query").textContent = question.query;
  element("responses").replaceChildren(...question.responses.map(choice));
  shownAt = performance.now();
  // The focus moves to the new text, for keyboards and screen readers. A new element is read out even if the old had
  // the focus.
  const heading = element("query-heading").cloneNode(true);
  element("query-heading").replaceWith(heading);
  heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
};

const fail = (error) => {
  if (error.status) return say(`Not saved: ${error.message}`);
  askAgain(2000);
  if (state === "training") say("The run has ended: the terminal where it ran has the result.");
  else if (state && state !== "stopped") say("No connection. What was confirmed is saved; this page resumes when preftune runs again.");
  state = "";
};

// One request at a time: a second key must not answer the next question. Returns false if another is under way.
const request = async (path, body, confirmation = "") => {
  if (busy) return false;
  busy = true;
  clearTimeout(timer);
  if (path !== "/api/next") document.body.setAttribute("aria-busy", "true");
  try {
    const view = await post(path, body);
    show(view);
    if (view.state === "question") say(confirmation);
  } catch (error) {
    if (error.status !== 409) return fail(error), true;
    // The labeler's current question is another one.
    await post("/api/next", {}).then((view) => { show(view); say(`Not saved: ${error.message}.`); }, fail);
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
  return true;
};

const answer = (place) => {
  if (!question) return;
  const ms = Math.min(Math.round(performance.now() - shownAt), 2 ** 32 - 1);
  const confirmation = place === null ? "Saved: cannot tell." : `Saved: ${place + 1}.`;
  request("/api/answer", { id: question.id, choice: place, ms }, confirmation);
};

const skip = () => { if (question) request("/api/skip", { id: question.id }, "Skipped."); };

const undo = () => { if (labeler && !element("undo").hidden) request("/api/undo", {}, "Taken back; choose again."); };

element("cannot-tell").addEventListener("click", () => answer(null));
element("skip").addEventListener("click", skip);
element("undo").addEventListener("click", undo);
element("stop").addEventListener("click", async () => {
  if (!confirm("Stop the run? It keeps its last checkpoint.")) return;
  while (!(await request("/api/stop", {}))) await new Promise((done) => { setTimeout(done, 50); });
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input")) return;
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : NaN;
  if (digit === 0) answer(null);
  else if (question && digit <= question.responses.length) answer(digit - 1);
  else if (event.key.toLowerCase() === "s") skip();
  else if (event.key.toLowerCase() === "u") undo();
});

element("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  labeler = element("labeler").value.trim();
  sessionStorage.setItem("labeler", labeler);
  begin();
});

const begin = () => {
  element("sign-in").hidden = true;
  element("instructions").open = false;
  request("/api/next", {});
};

const start = async () => {
  const response = await fetch("/api/instructions");
  element("instructions-text").textContent = (await response.json()).instructions;
  labeler = sessionStorage.getItem("labeler") ?? "";
  if (labeler) begin();
};

start();
