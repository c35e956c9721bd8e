"use strict";

document.getElementById("purpose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("problem");
  const answer = await fetch("/api/purpose", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: document.getElementById("text").value }),
  });
  if (answer.ok) {
    location.replace("/");
  } else {
    problem.textContent = (await answer.json()).error;
    problem.hidden = false;
  }
});
