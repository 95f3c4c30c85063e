// The page's state and what its controls do to it. The server decodes; nothing is kept there.

const PAGE = 16; // sliders at once
const $ = (id) => document.getElementById(id);

const state = { runs: [], z: [], turn: [], active: 0, page: 0, pins: {}, at: null };

function tell(text) {
  $("told").textContent = text;
}

async function ask(path, body, headers = { "Content-Type": "application/json" }) {
  const raw = body instanceof Blob;
  const answer = await fetch(path, { method: "POST", body: raw ? body : JSON.stringify(body), headers: raw ? {} : headers });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ error: answer.statusText }));
    throw new Error(told.error);
  }
  return answer;
}

const askLatent = async (path, body) => (await (await ask(path, body)).json()).z;

// One question at a time for each run; of those that come meanwhile, only the last is asked.
const painters = [];
function painter(run) {
  let busy = false;
  let again = false;
  return async function paint() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      do {
        again = false;
        const answer = await ask("/api/decode", { run, z: state.z[run] });
        show($(`image-${run}`), await answer.blob());
      } while (again);
      $("pictures").dataset.painted = String(Number($("pictures").dataset.painted || 0) + 1);
    } catch (error) {
      tell(error.message);
    } finally {
      busy = false;
    }
    if (again) paint();
  };
}

function show(image, blob) {
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

function setLatent(run, z, at = null) {
  state.z[run] = z;
  state.turn[run] += 1;
  painters[run]();
  if (run !== state.active) return;
  state.at = at;
  drawSliders();
  drawMap();
}

// An answer that comes when something newer was asked, or set, is not shown.
async function latest(run, question) {
  state.turn[run] += 1;
  const turn = state.turn[run];
  const z = await question;
  return turn === state.turn[run] ? z : null;
}

function attempt(what) {
  return async (...given) => {
    try {
      tell("");
      await what(...given);
    } catch (error) {
      tell(error.message);
    }
  };
}

function drawPictures() {
  $("pictures").replaceChildren(...state.runs.map((run, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "picture";
    button.setAttribute("aria-pressed", String(number === state.active));
    const image = document.createElement("img");
    image.id = `image-${number}`;
    image.alt = `image of ${run.name}`;
    const name = document.createElement("span");
    name.textContent = run.name;
    const about = document.createElement("small");
    about.textContent = `${run.kind}, step ${run.step}, ${run.latent} values`;
    button.append(image, name, about);
    button.addEventListener("click", () => activate(number));
    return button;
  }));
}

function activate(number) {
  state.active = number;
  state.page = 0;
  state.at = null;
  [...$("pictures").children].forEach((one, i) => one.setAttribute("aria-pressed", String(i === number)));
  $("encoding").hidden = !state.runs[number].encodes;
  drawSliders();
  drawMap();
  drawPins();
}

function drawSliders() {
  const run = state.runs[state.active];
  const z = state.z[state.active];
  const pages = Math.ceil(run.latent / PAGE);
  const first = state.page * PAGE;
  const reach = run.prior === "uniform" ? 1 : 4;
  $("page").textContent = `${first} to ${Math.min(first + PAGE, run.latent) - 1} of ${run.latent}`;
  $("before").setAttribute("aria-disabled", String(state.page === 0)); // and keeps the focus
  $("after").setAttribute("aria-disabled", String(state.page >= pages - 1));
  const wanted = Math.min(PAGE, run.latent - first);
  if ($("sliders").children.length !== wanted) {
    $("sliders").replaceChildren(...Array.from({ length: wanted }, (_, i) => slider(i)));
  }
  [...$("sliders").children].forEach((label, i) => {
    const value = z[first + i];
    label.firstChild.textContent = `z${first + i}`;
    const input = label.querySelector("input");
    input.min = String(Math.min(-reach, value));
    input.max = String(Math.max(reach, value));
    input.value = String(value);
    label.querySelector("output").textContent = value.toFixed(2);
  });
}

function turnPage(by) {
  const last = Math.ceil(state.runs[state.active].latent / PAGE) - 1;
  state.page = Math.max(0, Math.min(last, state.page + by));
  drawSliders();
}

function slider(place) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "range";
  input.step = "any";
  input.addEventListener("input", () => {
    const z = [...state.z[state.active]];
    z[state.page * PAGE + place] = Number(input.value);
    setLatent(state.active, z);
  });
  const output = document.createElement("output");
  output.setAttribute("aria-live", "off"); // the slider tells its value
  label.append(document.createElement("span"), input, output);
  return label;
}

function drawMap() {
  const { map } = state.runs[state.active];
  const canvas = $("map");
  const pen = canvas.getContext("2d");
  const { reach } = map;
  const place = (value) => ((value / reach + 1) / 2) * canvas.width;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "#8888";
  pen.beginPath();
  pen.moveTo(place(-reach), place(0));
  pen.lineTo(place(reach), place(0));
  pen.moveTo(place(0), place(-reach));
  pen.lineTo(place(0), place(reach));
  pen.stroke();
  for (const group of map.classes) {
    pen.fillStyle = group.color;
    for (const point of group.points) {
      const [x, y] = map.points[point];
      pen.fillRect(place(x) - 2, place(-y) - 2, 4, 4);
    }
  }
  if (state.at) {
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(place(state.at.x), place(-state.at.y), 8, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineWidth = 1;
  }
  $("axes").textContent = `across: ${map.axes[0]}${map.axes[1] ? `, up: ${map.axes[1]}` : ""}`;
  $("legend").replaceChildren(...map.classes.map((group) => {
    const entry = document.createElement("span");
    const dot = document.createElement("i");
    dot.style.background = group.color;
    entry.append(dot, group.name);
    return entry;
  }));
}

const goTo = attempt(async (x, y) => {
  const run = state.active;
  const { reach } = state.runs[run].map;
  const within = (value) => Math.max(-reach, Math.min(reach, value));
  const at = { x: within(x), y: within(y) };
  state.at = at;
  drawMap();
  const z = await latest(run, askLatent("/api/place", { run, ...at }));
  if (!z) return;
  setLatent(run, z, at);
  tell(`at ${at.x.toFixed(2)} across, ${at.y.toFixed(2)} up`);
});

function drawPins() {
  const pins = state.pins[state.active] || {};
  for (const name of ["a", "b"]) {
    const image = $(`image-${name}`);
    image.hidden = !pins[name];
    if (pins[name]) show(image, pins[name].blob);
    image.alt = pins[name] ? `pinned image ${name.toUpperCase()}` : "";
  }
  $("share").disabled = !(pins.a && pins.b);
}

const pin = attempt(async (name) => {
  const run = state.active;
  const z = [...state.z[run]];
  const blob = await (await ask("/api/decode", { run, z })).blob();
  state.pins[run] = { ...state.pins[run], [name]: { z, blob } };
  drawPins();
});

const between = attempt(async () => {
  const run = state.active;
  const { a, b } = state.pins[run];
  const share = Number($("share").value);
  const z = await latest(run, askLatent("/api/between", { run, a: a.z, b: b.z, share }));
  if (z) setLatent(run, z);
});

const encode = attempt(async (file) => {
  if (!file) return;
  const run = state.active;
  const asked = ask(`/api/encode?run=${run}`, file).then((answer) => answer.json());
  $("file").value = ""; // the same file may be chosen again
  const found = await latest(run, asked);
  if (!found) return;
  setLatent(run, found.z);
  tell(`encoded ${file.name}`);
});

const draw = attempt(async () => {
  const [seed, number] = ["seed", "number"].map((id) => Math.round(Number($(id).value)));
  const asked = state.runs.map((_, run) => latest(run, askLatent("/api/draw", { run, seed, number })));
  (await Promise.all(asked)).forEach((z, run) => z && setLatent(run, z));
});

function random() {
  $("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  $("number").value = "0";
  return draw();
}

const save = attempt(async () => {
  const run = state.active;
  const blob = await (await ask("/api/decode", { run, z: state.z[run] })).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${state.runs[run].name}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

function connect() {
  $("draw").addEventListener("click", draw);
  $("random").addEventListener("click", random);
  $("reset").addEventListener("click", () => state.runs.forEach((run, i) => setLatent(i, Array(run.latent).fill(0))));
  $("save").addEventListener("click", save);
  $("before").addEventListener("click", () => turnPage(-1));
  $("after").addEventListener("click", () => turnPage(1));
  $("pin-a").addEventListener("click", () => pin("a"));
  $("pin-b").addEventListener("click", () => pin("b"));
  $("share").addEventListener("input", between);
  $("file").addEventListener("change", () => encode($("file").files[0]));
  const drop = $("drop");
  for (const kind of ["dragover", "drop"]) { // beside the field, a browser would open the file
    window.addEventListener(kind, (event) => event.preventDefault());
  }
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    encode(event.dataTransfer.files[0]);
  });
  const map = $("map");
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2 - 1;
    const y = 1 - ((event.clientY - box.top) / box.height) * 2;
    const { reach } = state.runs[state.active].map;
    goTo(x * reach, y * reach);
  });
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  map.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const at = state.at || { x: 0, y: 0 };
    const size = state.runs[state.active].map.reach / 30;
    goTo(at.x + step[0] * size, at.y + step[1] * size);
  });
}

async function begin() {
  try {
    const answer = await fetch("/api/runs");
    if (!answer.ok) throw new Error(answer.statusText);
    state.runs = await answer.json();
  } catch (error) {
    tell(`no answer: ${error.message}`);
    return;
  }
  state.z = state.runs.map((run) => Array(run.latent).fill(0));
  state.turn = state.runs.map(() => 0);
  state.runs.forEach((_, run) => painters.push(painter(run)));
  drawPictures();
  connect();
  activate(0);
  await draw();
}

begin();
