// Renews the page that is open: what the server has written anew is put in the place of what was there.
"use strict";

const pause = document.getElementById("pause");
const state = document.getElementById("state");
let isPaused = false;

pause?.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.textContent = isPaused ? "Resume" : "Pause";
  state.textContent = isPaused ? "paused" : "live";
});

// Puts the new children of `fresh` into `old` by their ids, and leaves alone those that are the same.
function putItems(old, fresh) {
  const isAtEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
  const there = new Map(Array.from(old.children, (child) => [child.id, child]));
  let next = old.firstElementChild;
  for (const child of Array.from(fresh.children)) {
    let known = child.id ? there.get(child.id) : undefined;
    if (known && known.outerHTML !== child.outerHTML && !known.contains(document.activeElement)) {
      known.replaceWith(child);
      if (next === known) next = child;
      known = child;
    }
    there.delete(child.id);
    const item = known ?? child;
    if (item === next) next = next.nextElementSibling;
    else old.insertBefore(item, next);
  }
  for (const gone of there.values()) gone.remove();
  if (isAtEnd && old.hasAttribute("data-follow")) window.scrollTo(0, document.body.scrollHeight);
}

function put(text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  // What the user has opened stays open.
  for (const details of fresh.content.querySelectorAll("details[id]")) {
    const old = document.getElementById(details.id);
    if (old) details.open = old.open;
  }
  for (const part of fresh.content.querySelectorAll("[data-live][id]")) {
    const old = document.getElementById(part.id);
    if (!old || part.parentElement?.closest("[data-live='']")) continue;
    if (part.dataset.live === "items") putItems(old, part);
    else if (old.innerHTML !== part.innerHTML && !old.contains(document.activeElement)) {
      old.replaceWith(part);
    }
  }
}

const page = location.pathname + location.search;
const source = new EventSource("/live?page=" + encodeURIComponent(page));
source.addEventListener("page", (event) => {
  if (!isPaused) put(event.data);
});
source.addEventListener("open", () => {
  if (!isPaused) state.textContent = "live";
});
source.addEventListener("error", () => {
  state.textContent = "not connected";
});

// A list that is followed begins at its end.
if (document.querySelector("[data-follow]") && !location.hash) {
  window.scrollTo(0, document.body.scrollHeight);
}

// A file is sent as it is; the page says what came of it.
document.querySelector("form[data-upload]")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector("[role=status]");
  said.textContent = "sending …";
  const token = document.querySelector("meta[name=form-token]").content;
  const file = form.querySelector("input[type=file]").files[0];
  const answer = await fetch(form.action, { method: "POST", body: file, headers: { "x-form-token": token } });
  if (answer.redirected) location = answer.url;
  else said.textContent = await answer.text();
});

// Keys: digits for the pages, `/` for the filter, `p` to pause.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (event.key === "p") {
    pause.click();
  } else if (/^[0-9]$/.test(event.key)) {
    document.querySelector(`nav a[accesskey="${event.key}"]`)?.click();
  }
});
