/** A schedule's view as one HTML page that needs nothing else: no network, no fonts, readable without its script. */
import { escapeHtml } from "../../ir/text/html.ts";
import type { Box, Mark, ScheduleView, StepView } from "./view.ts";

/** The page. The same view gives the same text. */
export function viewPage(view: ScheduleView, title = `Schedule of ${view.name}`): string {
  const steps = view.steps.map(stepSection).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p><code>${escapeHtml(view.head)}</code></p>
<ul class="legend" aria-label="Marks">${legend}</ul>
<p class="keys">Keys: <kbd>←</kbd> <kbd>→</kbd> one step, <kbd>Home</kbd> <kbd>End</kbd> first and last, <kbd>t</kbd> light or dark, <kbd>a</kbd> all steps.</p>
</header>
<nav aria-label="Steps"><ol start="0">
<li><a href="#step-0">start</a></li>
${view.steps.map((s) => `<li><a href="#step-${s.step}"><code>${escapeHtml(s.call)}</code></a></li>`).join("\n")}
</ol></nav>
<main>
<section class="step" id="step-0" tabindex="-1" aria-labelledby="title-0">
<h2 id="title-0">Start</h2>
<div class="panes"><figure><figcaption>The nest before any step</figcaption>${nest(view.start, true)}</figure></div>
</section>
${steps}
</main>
<script>${script}</script>
</body>
</html>
`;
}

function stepSection(s: StepView): string {
  return `<section class="step" id="step-${s.step}" tabindex="-1" aria-labelledby="title-${s.step}">
<h2 id="title-${s.step}">${s.step}. <code>${escapeHtml(s.call)}</code></h2>
<p>${escapeHtml(s.doc)}</p>
<p class="summary">${escapeHtml(summary(s))}</p>
<div class="panes">
<figure><figcaption>Before</figcaption>${nest(s.before)}</figure>
<figure><figcaption>After</figcaption>${nest(s.after)}</figure>
</div>
</section>`;
}
const words: Readonly<Record<Mark, string>> = {
  created: "new",
  removed: "gone",
  moved: "moved",
  changed: "changed",
};
const legend = Object.entries(words)
  .map(([mark, word]) => `<li><span class="mark ${mark}">${word}</span></li>`)
  .join("");

/** What happened, in words: for those who do not see the boxes. */
function summary(s: StepView): string {
  const named = (list: readonly Box[], mark: Mark): string[] =>
    list.flatMap((b) => [...(b.marks.includes(mark) ? [b.name] : []), ...named(b.inside, mark)]);
  const parts = [
    ["new", named(s.after, "created")],
    ["gone", named(s.before, "removed")],
    ["moved", named(s.after, "moved")],
    ["changed", named(s.after, "changed")],
  ] as const;
  const said = parts.flatMap(([word, list]) => (list.length > 0 ? [`${word}: ${list.join(", ")}`] : []));
  return said.length > 0 ? said.join("; ") : "nothing changed";
}

/** Boxes in boxes; with `whole`, also what stands in blocks that nothing happened to. */
const nest = (list: readonly Box[], whole = false): string =>
  `<ul class="nest">${list.map((b) => item(b, whole)).join("")}</ul>`;
function item(b: Box, whole: boolean): string {
  const marks = b.marks.map((m) => `<span class="mark ${m}">${words[m]}</span>`).join(" ");
  const body =
    b.lines.length > 0 && (whole || b.marks.length > 0) ? `<pre>${escapeHtml(b.lines.join("\n"))}</pre>` : "";
  const classes = [b.kind, ...(b.loopKind && b.loopKind !== "serial" ? [b.loopKind] : []), ...b.marks].join(" ");
  const inside = b.inside.length > 0 ? nest(b.inside, whole) : "";
  return `<li class="${classes}" data-key="${escapeHtml(b.key)}"><div class="line"><code>${escapeHtml(b.text)}</code> ${marks}</div>${body}${inside}</li>`;
}

const light =
  "--page:#fff;--ink:#1b1f24;--dim:#57606a;--line:#c8d1da;--loop:#f3f6f9;--block:#eef6ff;--created:#0a6b2c;--removed:#b3261e;--moved:#6639ba;--changed:#8a5a00;--parallel:#0969da;--vectorized:#8250df;--unrolled:#9a6700;--tensorized:#bf3989";
const dark =
  "--page:#0f1419;--ink:#e6edf3;--dim:#9da7b1;--line:#3d4752;--loop:#171d24;--block:#14202e;--created:#56d364;--removed:#ff8f87;--moved:#c6a5ff;--changed:#e3b341;--parallel:#6cb6ff;--vectorized:#d2a8ff;--unrolled:#d4a72c;--tensorized:#ff9bce";
const style = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
:root[data-theme=light]{color-scheme:light;${light}}
:root[data-theme=dark]{color-scheme:dark;${dark}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif;display:grid;grid-template:auto 1fr/minmax(12rem,22rem) minmax(0,1fr);min-height:100vh}
header{grid-column:1/-1;padding:.75rem 1.25rem;border-bottom:1px solid var(--line)}
h1{font-size:1.25rem;margin:0 0 .25rem}
h2{font-size:1.05rem;margin:0 0 .5rem}
header p,section p{margin:.25rem 0}
code,pre,kbd{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
header code{overflow-wrap:anywhere}
kbd{border:1px solid var(--line);border-radius:4px;padding:0 .3em}
.keys,.summary,figcaption{color:var(--dim)}
.legend{display:flex;gap:.75rem;list-style:none;padding:0;margin:.5rem 0}
nav{border-right:1px solid var(--line);padding:.75rem .5rem;overflow:auto;max-height:100vh;position:sticky;top:0}
nav ol{margin:0;padding-left:2.25rem}
nav a{display:block;padding:.15rem .4rem;border-radius:4px;color:inherit;text-decoration:none;overflow-wrap:anywhere}
nav a:hover{text-decoration:underline}
nav a[aria-current]{background:var(--ink);color:var(--page)}
a:focus-visible,section:focus-visible{outline:2px solid var(--parallel);outline-offset:2px}
main{padding:1rem 1.25rem;min-width:0}
.step{margin-bottom:2rem}
.script .step{display:none}
.script .step.shown,.script.all .step{display:block}
.panes{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1.25rem;align-items:start}
figure{margin:0;min-width:0;overflow-x:auto}
figcaption{margin-bottom:.25rem}
.nest{list-style:none;margin:0;padding:0}
.nest .nest{padding-left:.75rem}
.nest li{border:1px solid var(--line);border-left:4px solid var(--line);border-radius:5px;margin:.3rem 0;padding:.25rem .5rem;background:var(--loop)}
.nest li.block{background:var(--block)}
.nest li.allocation{background:none;border-left-style:dotted}
.nest li.parallel{border-left-color:var(--parallel)}
.nest li.vectorized{border-left-color:var(--vectorized)}
.nest li.unrolled{border-left-color:var(--unrolled)}
.nest li.tensorized{border-left-color:var(--tensorized)}
.nest li.created{border-color:var(--created);border-style:solid}
.nest li.removed{border-color:var(--removed);border-style:dashed}
.nest li.moved{border-color:var(--moved);border-style:double;border-width:3px}
.nest li.removed>.line>code{text-decoration:line-through}
.line{display:flex;flex-wrap:wrap;gap:.25rem .5rem;align-items:baseline}
.line code{overflow-wrap:anywhere}
pre{margin:.25rem 0 0;white-space:pre-wrap;color:var(--dim)}
.mark{font-size:12px;font-weight:600;border:1px solid;border-radius:9px;padding:0 .5em;white-space:nowrap}
.mark.created{color:var(--created)}
.mark.removed{color:var(--removed)}
.mark.moved{color:var(--moved)}
.mark.changed{color:var(--changed)}
@media (max-width:48rem){body{display:block}nav{position:static;max-height:12rem;border-right:0;border-bottom:1px solid var(--line)}}
@media print{nav{display:none}.script .step{display:block}}
`;
const script = `
(() => {
  const root = document.documentElement;
  const steps = [...document.querySelectorAll(".step")];
  const links = [...document.querySelectorAll("nav a")];
  let at = 0;
  const show = (k, focus) => {
    at = Math.max(0, Math.min(steps.length - 1, k));
    steps.forEach((s, j) => s.classList.toggle("shown", j === at));
    links.forEach((a, j) => (j === at ? a.setAttribute("aria-current", "step") : a.removeAttribute("aria-current")));
    links[at].scrollIntoView({ block: "nearest" });
    if (focus) steps[at].focus({ preventScroll: !root.classList.contains("all") });
    history.replaceState(null, "", "#" + steps[at].id);
  };
  const fromHash = () => steps.findIndex((s) => "#" + s.id === location.hash);
  const keys = {
    ArrowRight: () => show(at + 1, true),
    ArrowDown: () => show(at + 1, true),
    ArrowLeft: () => show(at - 1, true),
    ArrowUp: () => show(at - 1, true),
    Home: () => show(0, true),
    End: () => show(steps.length - 1, true),
    a: () => root.classList.toggle("all"),
    t: () => {
      const isDark = getComputedStyle(root).getPropertyValue("--page").trim() === "#0f1419";
      root.dataset.theme = isDark ? "light" : "dark";
    },
  };
  addEventListener("keydown", (e) => {
    if (e.altKey || e.ctrlKey || e.metaKey || !keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  });
  links.forEach((a, j) => a.addEventListener("click", (e) => (e.preventDefault(), show(j, true))));
  addEventListener("hashchange", () => show(fromHash(), true));
  root.classList.add("script");
  const wanted = fromHash();
  show(wanted < 0 ? Math.min(1, steps.length - 1) : wanted, false);
})();
`;
