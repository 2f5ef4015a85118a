/** The roofline chart (Williams, Waterman, Patterson, 2009) as SVG: a point for each kernel under the machine's measured roofs. */
import { escapeHtml } from "../../../ir/text/html.ts";
import { digits } from "../../../ir/text/units.ts";
import { bandwidth } from "../../runtime/profile/limits.ts";
import { duration } from "../table.ts";
import { kindOf } from "./kinds.ts";
import type { NetworkProfile, ProfiledKernel } from "./network-profile.ts";

const [width, height] = [820, 440];
const margin = { left: 64, right: 24, top: 24, bottom: 48 };
const levels = ["L1", "L2", "L3", "memory"] as const;

/** Logarithmic axes: operations for each byte touched, and GFLOP/s. */
export function rooflineSvg(profile: NetworkProfile): string {
  const points = profile.kernels.filter((k) => k.intensity > 0 && k.gflops > 0);
  const roofs = levels.flatMap((level) => {
    const rate = bandwidth(profile.model, level);
    return rate > 0 ? [{ level, rate }] : [];
  });
  const ridges = roofs.map((r) => profile.peakGflops / r.rate);
  const x = logScale([...points.map((p) => p.intensity), ...ridges, 1], margin.left, width - margin.right);
  const y = logScale([...points.map((p) => p.gflops), profile.peakGflops], height - margin.bottom, margin.top);
  const peak = y(profile.peakGflops);
  const lines = roofs.map(({ level, rate }, i) => {
    // A roof starts at the left edge or, where it is below the chart there, at the lower one.
    const start = Math.max(x.least, y.least / rate);
    const end = Math.min(x.most, profile.peakGflops / rate);
    const label = Math.sqrt(start * end);
    return `<line class="roof" x1="${fixed(x(start))}" y1="${fixed(y(start * rate))}" x2="${fixed(x(end))}" y2="${fixed(y(end * rate))}"/>
<text class="roof-name" x="${fixed(x(label) + 6)}" y="${fixed(y(label * rate) + 14 - 4 * i)}">${level} ${digits(rate)} GB/s</text>`;
  });
  const flat = Math.min(...ridges, x.most);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Roofline: ${points.length} kernels by operations for each byte and GFLOP/s">
${x.decades.map((d) => `<line class="grid" x1="${fixed(x(d))}" y1="${margin.top}" x2="${fixed(x(d))}" y2="${height - margin.bottom}"/><text class="tick" x="${fixed(x(d))}" y="${height - margin.bottom + 18}" text-anchor="middle">${decade(d)}</text>`).join("\n")}
${y.decades.map((d) => `<line class="grid" x1="${margin.left}" y1="${fixed(y(d))}" x2="${width - margin.right}" y2="${fixed(y(d))}"/><text class="tick" x="${margin.left - 8}" y="${fixed(y(d) + 4)}" text-anchor="end">${decade(d)}</text>`).join("\n")}
<text class="axis" x="${(margin.left + width - margin.right) / 2}" y="${height - 8}" text-anchor="middle">operations for each byte touched</text>
<text class="axis" x="16" y="${height / 2}" text-anchor="middle" transform="rotate(-90 16 ${height / 2})">GFLOP/s</text>
${lines.join("\n")}
<line class="roof" x1="${fixed(x(flat))}" y1="${fixed(peak)}" x2="${width - margin.right}" y2="${fixed(peak)}"/>
<text class="roof-name" x="${width - margin.right}" y="${fixed(peak - 6)}" text-anchor="end">multiply-adds ${digits(profile.peakGflops)} GFLOP/s</text>
${points.map((k) => point(k, x(k.intensity), y(k.gflops))).join("\n")}
</svg>`;
}

/** The area is the kernel's share of the run. */
function point(k: ProfiledKernel, cx: number, cy: number): string {
  const title = `#${k.step} ${k.title}: ${duration(k.ns)}, ${(100 * k.share).toFixed(1)} %, ${digits(k.gflops)} GFLOP/s, ${digits(k.intensity)} operations a byte. ${k.summary}`;
  return `<circle class="kernel ${kindOf(k.bound)}" cx="${fixed(cx)}" cy="${fixed(cy)}" r="${fixed(3 + 24 * Math.sqrt(k.share))}"><title>${escapeHtml(title)}</title></circle>`;
}

interface Scale {
  (value: number): number;
  readonly least: number;
  readonly most: number;
  readonly decades: readonly number[];
}

/** Maps whole decades around all values to pixels. */
function logScale(values: readonly number[], from: number, to: number): Scale {
  const logs = values.map(Math.log10);
  const low = Math.floor(Math.min(...logs));
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs) + 0.05));
  const place = (value: number): number => from + ((to - from) * (Math.log10(value) - low)) / (high - low);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return Object.assign(place, { least: 10 ** low, most: 10 ** high, decades });
}
const fixed = (n: number): string => n.toFixed(1);
const decade = (n: number): string => (n >= 1 ? n.toFixed(0) : String(Number(n.toPrecision(1))));
