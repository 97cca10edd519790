"use strict";
// Asks for the same page and for `stats` every so often: the facts are put in place of the old ones as the server wrote them,
// and the counts drawn. Nothing is kept but in this tab, and nothing is loaded from elsewhere.
(() => {
  const EVERY = 2000; // ms; a reading serves everybody for a second
  const SPAN = 300; // seconds that are drawn
  const SMOOTH = 10; // seconds over which a rate is taken: workers add what they counted every few
  const WIDTH = 300, HEIGHT = 80;
  const CHARTS = {
    limits: ["allowed", "denied"], cache: ["hits", "misses"], sessions: ["sessions"],
    trips: ["trips", "failed"], times: ["mean", "slowest"], ping: ["ping"],
  };
  const $ = (id) => document.getElementById(id);
  let token = "", paused = false, timer = 0, samples = [], points = [];

  // Asking

  const fields = (accept) => (token ? { accept, authorization: `Bearer ${token}` } : { accept });
  const patience = () => AbortSignal.timeout(5000);

  async function page() {
    const answer = await fetch("./", { headers: fields("text/html"), signal: patience() });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function stats() {
    if ($("main").dataset.details !== "yes") return null;
    const answer = await fetch("stats?format=json", { headers: fields("application/json"), signal: patience() });
    return answer.ok ? answer.json() : null;
  }

  async function look() {
    clearTimeout(timer);
    try {
      const [fresh, told] = await Promise.all([page(), stats()]);
      renew(fresh);
      if (told) follow(told);
      $("lost").hidden = true;
      $("updated").textContent = new Date().toLocaleTimeString();
    } catch (error) {
      const notice = "The server does not answer. What is below is old.";
      if ($("lost").hidden) { $("lost").hidden = false; $("lost").textContent = notice; }
    }
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(look, EVERY);
  }

  function renew(fresh) {
    document.title = fresh.title;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
    for (const old of document.querySelectorAll("[data-fresh]")) {
      const now = fresh.getElementById(old.id);
      if (!now || old.contains(document.activeElement)) continue;
      const opened = [...old.querySelectorAll("details")].map((one) => one.open);
      now.querySelectorAll("details").forEach((one, place) => { one.open = Boolean(opened[place]); });
      if (old.dataset.status !== now.dataset.status) old.dataset.status = now.dataset.status;
      if (old.innerHTML !== now.innerHTML) old.replaceChildren(...now.childNodes);
    }
  }

  // Counting

  function follow(told) {
    const counted = told.analytics, trips = counted.trips ?? {};
    const total = (name) => counted.totals?.[name] ?? 0;
    const sample = {
      time: Date.parse(told.time) / 1000, known: Boolean(counted.totals), ping: told.times.ping_ms, sessions: counted.active_sessions,
      allowed: total("limit allowed"), denied: total("limit denied"), hits: total("cache hits"), misses: total("cache misses"),
      trips: trips.count ?? 0, failed: trips.failed ?? 0, seconds: trips.seconds ?? 0, buckets: trips.buckets ?? [],
    };
    const last = samples.at(-1);
    if (last && sample.time <= last.time) return;
    samples = [...samples.filter((one) => one.time > sample.time - 2 * SMOOTH), sample];
    const works = !told.nodes.some((node) => node.server?.unavailable);
    const before = samples.findLast((one) => one.time <= sample.time - SMOOTH) ?? samples[0];
    const point = { time: sample.time, ping: works ? sample.ping : null, sessions: sample.known ? sample.sessions : null };
    const passed = sample.time - before.time;
    if (passed > 0 && sample.known && before.known && sample.allowed >= before.allowed && sample.trips >= before.trips) {
      for (const name of ["allowed", "denied", "hits", "misses", "trips", "failed"]) point[name] = (sample[name] - before[name]) / passed;
      const made = sample.trips - before.trips;
      point.mean = made ? ((sample.seconds - before.seconds) / made) * 1000 : null;
      point.slowest = made ? quantile(sample.buckets, before.buckets, made * 0.95) * 1000 : null;
    }
    points = [...points.filter((one) => one.time > sample.time - SPAN), point];
    for (const figure of document.querySelectorAll("[data-chart]")) draw(figure, CHARTS[figure.dataset.chart], sample.time);
  }

  function quantile(now, then, wanted) {
    const earlier = new Map(then.map((one) => [one.at_most, one.count]));
    let low = 0, below = 0, carried = 0;
    for (const { at_most: high, count } of now) {
      carried = earlier.get(high) ?? carried;
      const within = count - carried;
      if (within >= wanted) return high === null ? low : low + ((high - low) * (wanted - below)) / Math.max(within - below, 1);
      low = high ?? low;
      below = within;
    }
    return low;
  }

  // Drawing

  function draw(figure, names, now) {
    const values = points.flatMap((point) => names.map((name) => point[name] ?? 0));
    const most = round(Math.max(...values, figure.dataset.unit === "ms" ? 0.1 : 1));
    const x = (point) => WIDTH - ((now - point.time) / SPAN) * WIDTH;
    const y = (value) => HEIGHT - (value / most) * (HEIGHT - 4);
    names.forEach((name, place) => {
      const runs = [[]];
      for (const point of points) {
        if (point[name] === null || point[name] === undefined) runs.push([]);
        else runs.at(-1).push(`${x(point).toFixed(1)} ${y(point[name]).toFixed(1)}`);
      }
      const lines = runs.filter((run) => run.length);
      const [line, under] = [figure.querySelector(`path.${"ab"[place]}`), place ? null : figure.querySelector("path.under")];
      line.setAttribute("d", lines.map((run) => `M${run.join("L")}${run.length === 1 ? "h.1" : ""}`).join(""));
      const closed = (run) => `M${run[0].split(" ")[0]} ${HEIGHT}L${run.join("L")}L${run.at(-1).split(" ")[0]} ${HEIGHT}Z`;
      under?.setAttribute("d", lines.map(closed).join(""));
      figure.querySelectorAll("b")[place].textContent = shown(points.at(-1)[name], figure.dataset.unit);
    });
    figure.querySelector(".most").textContent = shown(most, figure.dataset.unit);
    const told = [...figure.querySelectorAll(".keys span")].map((one) => one.textContent.trim()).join(", ");
    figure.querySelector("svg").setAttribute("aria-label", `${figure.querySelector(".name").textContent}, the last five minutes: ${told}`);
  }

  function round(value) {
    const step = 10 ** Math.floor(Math.log10(value));
    return [1, 1.5, 2, 3, 5, 7.5, 10].map((one) => one * step).find((one) => one >= value * 0.999);
  }

  function shown(value, unit) {
    if (value === null || value === undefined) return "–";
    const digits = unit === "" || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return Number(value.toFixed(digits)).toLocaleString() + (unit === "ms" ? " ms" : unit);
  }

  // What a user does

  async function test(button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    $("test-said").textContent = "Testing …";
    try {
      const headers = { ...fields("application/json"), "x-redis-middleware": "page" };
      const answer = await fetch("test", { method: "POST", headers, signal: patience() });
      const told = await answer.json();
      if (!told.tests) throw new Error(told.detail ?? `${answer.status}`);
      const wrong = told.tests.filter((one) => one.status === "fail").length;
      $("test-lines").tBodies[0].replaceChildren(...told.tests.map(row));
      $("test-lines").hidden = false;
      $("test-said").textContent = wrong ? `${wrong} of ${told.tests.length} do not work.` : "Everything that there is works.";
    } catch (error) {
      $("test-said").textContent = `The test could not be made: ${error.message}`;
    }
    button.removeAttribute("aria-disabled");
  }

  function row(line) {
    const made = document.createElement("tr");
    const words = { pass: ["✓ works", "good"], fail: ["✕ fails", "bad"], absent: ["– is not there", "soft"] };
    const [word, kind] = words[line.status];
    const cells = [["th", line.test, ""], ["td", word, `verdict ${kind}`]];
    cells.push(["td", line.milliseconds === undefined ? (line.output ?? "") : shown(line.milliseconds, "ms") + (line.output ? ` · ${line.output}` : ""), ""]);
    for (const [name, text, kind] of cells) {
      const cell = made.appendChild(document.createElement(name));
      cell.textContent = text;
      cell.className = kind;
      if (name === "th") cell.scope = "row";
    }
    return made;
  }

  async function unlock(form) {
    token = form.elements.token.value.trim();
    const said = form.querySelector("[role=alert]");
    try {
      const fresh = await page();
      if (fresh.getElementById("main").dataset.details !== "yes") throw new Error("That token opens nothing.");
      $("main").replaceWith(fresh.getElementById("main"));
      begin();
      $("status").tabIndex = -1;
      $("status").focus();
    } catch (error) {
      token = "";
      said.textContent = /token/.test(error.message) ? error.message : "The server does not answer.";
    }
  }

  function begin() {
    for (const one of document.querySelectorAll("[data-script]")) one.hidden = false;
    for (const one of document.querySelectorAll("[data-plain]")) one.hidden = true;
    $("state").hidden = false;
    $("updated").textContent = new Date().toLocaleTimeString();
    look();
  }

  document.addEventListener("click", (event) => {
    if (event.target.id === "run-test") test(event.target);
    if (event.target.id !== "pause") return;
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    if (paused) clearTimeout(timer);
    else look();
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    unlock(event.target);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused) look();
  });
  begin();
})();
