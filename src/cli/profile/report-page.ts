/** A network's profile as one HTML page that needs nothing else: no network, no fonts, no script. */
import { basename } from "node:path";
import { escapeHtml } from "../../../ir/text/html.ts";
import { byteText, digits } from "../../../ir/text/units.ts";
import { duration } from "../table.ts";
import { limitText, loopText, machineText } from "./explain.ts";
import { kindOf, kinds } from "./kinds.ts";
import type { NetworkProfile, ProfiledKernel } from "./network-profile.ts";
import { rooflineSvg } from "./roofline.ts";

/** What stands above the charts. */
export interface ReportFacts {
  /** The model's file. */
  readonly file: string;
  /** Median and middle 80 % of whole runs, in nanoseconds, measured without any instrument. */
  readonly latencyNs: { readonly median: number; readonly p10: number; readonly p90: number };
}

/** The page. The same profile gives the same text. */
export function reportPage(profile: NetworkProfile, { file, latencyNs }: ReportFacts): string {
  const title = `Profile of ${basename(file)}`;
  const slowest = [...profile.kernels].sort((a, b) => b.share - a.share || a.step - b.step);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p><strong>${duration(latencyNs.median)}</strong> a run (${duration(latencyNs.p10)} to ${duration(latencyNs.p90)}), ${profile.kernels.length} kernels</p>
<p>${escapeHtml(machineText(profile))}</p>
${profile.missing.map((m) => `<p class="missing">missing: ${escapeHtml(m)}</p>`).join("\n")}
</header>
<main>
<section aria-labelledby="run">
<h2 id="run">The run</h2>
<div class="bar">${profile.kernels.map(segment).join("")}</div>
<ul class="legend">${legend(profile.kernels)}</ul>
</section>
<section aria-labelledby="roofline">
<h2 id="roofline">Roofline</h2>
<figure>${rooflineSvg(profile)}
<figcaption>Operations are those of the direct algorithm, so that Winograd's may exceed the peak; bytes are those touched at least once. The area of a point is its share of the run.</figcaption></figure>
</section>
<section aria-labelledby="kernels">
<h2 id="kernels">Kernels by share</h2>
<div class="scroll"><table>
<thead><tr><th>#</th><th class="text">computes</th><th>time</th><th>share</th><th>GFLOP/s</th><th>of peak</th><th>GB/s</th><th>op/B</th><th class="text">what bounds it</th></tr></thead>
<tbody>
${slowest.map(tableRow).join("\n")}
</tbody>
</table></div>
</section>
</main>
</body>
</html>
`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function segment(k: ProfiledKernel): string {
  const title = `#${k.step} ${k.title} (${k.name}): ${duration(k.ns)}, ${percent(k.share)}. ${k.summary}`;
  return `<span class="${kindOf(k.bound)}" style="flex-grow:${(1000 * k.share).toFixed(3)}" title="${escapeHtml(title)}"></span>`;
}

/** The share of the run that each kind of limit bounds. */
function legend(kernels: readonly ProfiledKernel[]): string {
  return (Object.keys(kinds) as (keyof typeof kinds)[])
    .map((kind) => {
      const share = kernels.reduce((sum, k) => sum + (kindOf(k.bound) === kind ? k.share : 0), 0);
      return `<li><span class="swatch ${kind}"></span>${escapeHtml(kinds[kind])}: ${percent(share)}</li>`;
    })
    .join("");
}

function tableRow(k: ProfiledKernel): string {
  const numbers = [
    duration(k.ns),
    percent(k.share),
    digits(k.gflops),
    percent(k.ofPeak),
    digits(k.gigabytesPerSecond),
    digits(k.intensity),
  ];
  return `<tr id="kernel-${k.step}"><td>${k.step}</td><td class="text">${escapeHtml(k.title)}${k.title === k.name ? "" : `<br><code>${escapeHtml(k.name)}</code>`}</td>${numbers.map((n) => `<td>${n}</td>`).join("")}<td class="text"><details><summary><span class="swatch ${kindOf(k.bound)}"></span>${escapeHtml(k.summary)}</summary>${details(k)}</details></td></tr>`;
}

function details(k: ProfiledKernel): string {
  const limits = k.limits.map(
    (l) =>
      `<tr><td class="text">${l.name}</td><td>${duration(l.ns)}</td><td>${percent(k.ns > 0 ? l.ns / k.ns : 0)}</td><td class="text">${escapeHtml(limitText(l))}</td></tr>`,
  );
  const nodes = k.nodes.filter((n) => n.name !== "").map((n) => `${n.op} ${n.name}`);
  const { traffic } = k;
  const facts = [
    ...(loopText(k) === undefined ? [] : [`Hot loop: ${loopText(k)}.`]),
    ...(traffic
      ? [
          `Bytes: ${byteText(traffic.touched)} touched; ${(["L1", "L2", "L3", "memory"] as const).map((l) => `${byteText(Math.round(traffic.from[l]))} from ${l}`).join(", ")}.`,
        ]
      : []),
    ...(k.hardware
      ? [
          `Counters: ${Object.entries(k.hardware)
            .map(([name, n]) => `${name} ${n}`)
            .join(", ")}.`,
        ]
      : []),
    ...k.remarks.map((r) => `Note: ${r}.`),
    ...(nodes.length > 0 ? [`Nodes: ${nodes.join(", ")}.`] : []),
    `Symbol: ${k.symbol}.`,
  ];
  return `<table class="limits"><thead><tr><th class="text">if only this were limited</th><th>time</th><th>of measured</th><th class="text">counted</th></tr></thead><tbody>${limits.join("")}</tbody></table>${facts.map((f) => `<p>${escapeHtml(f)}</p>`).join("")}`;
}

const light =
  "--page:#fff;--ink:#1b1f24;--dim:#57606a;--line:#d8dee4;--roof:#1b1f24;--arithmetic:#0969da;--access:#8250df;--far:#bc4c00;--waiting:#bf3989;--unexplained:#818b98";
const dark =
  "--page:#0f1419;--ink:#e6edf3;--dim:#9da7b1;--line:#303a44;--roof:#e6edf3;--arithmetic:#58a6ff;--access:#bc8cff;--far:#f0883e;--waiting:#ff7bc0;--unexplained:#8b949e";
const style = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
header,main{max-width:88rem;margin:0 auto;padding:.75rem 1.25rem}
header{border-bottom:1px solid var(--line)}
h1{font-size:1.25rem;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:1.25rem 0 .5rem}
header p{margin:.2rem 0}
.missing,figcaption,.tick,.axis{color:var(--dim)}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--dim);overflow-wrap:anywhere}
.bar{display:flex;height:2.5rem;border:1px solid var(--line)}
.bar span{min-width:0;border-right:1px solid var(--page)}
.bar span:hover{opacity:.6}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:.5rem 0}
.swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;vertical-align:baseline}
${Object.keys(kinds)
  .map((k) => `.bar .${k},.swatch.${k}{background:var(--${k})}svg .${k}{fill:var(--${k});stroke:var(--${k})}`)
  .join("\n")}
figure{margin:0}
svg{width:100%;max-width:62rem;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--dim)}
svg .roof-name{fill:var(--ink)}
.grid{stroke:var(--line)}
.roof{stroke:var(--roof);stroke-width:1.5}
.kernel{fill-opacity:.45}
.kernel:hover{fill-opacity:.9}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;vertical-align:top;border-bottom:1px solid var(--line)}
td{white-space:nowrap}
.text{text-align:left;white-space:normal}
th{font-weight:600;color:var(--dim)}
summary{cursor:pointer}
.limits{width:auto;margin:.5rem 0}
details p{margin:.2rem 0;color:var(--dim);overflow-wrap:anywhere}
@media print{details>*{display:block}}
`;
