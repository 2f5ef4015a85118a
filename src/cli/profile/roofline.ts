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
  const lines = roofs.map(({ rate }) => {
    // A roof starts at the left edge or, where it is below the chart there, at the lower one.
    const [start, end] = [Math.max(x.least, y.least / rate), Math.min(x.most, profile.peakGflops / rate)];
    return line("roof", [x(start), y(start * rate)], [x(end), y(end * rate)]);
  });
  const names = roofs.map(({ level, rate }, i) => {
    const [start, end] = [Math.max(x.least, y.least / rate), Math.min(x.most, profile.peakGflops / rate)];
    const middle = Math.sqrt(start * end);
    const angle = (Math.atan2(y(end * rate) - y(start * rate), x(end) - x(start)) * 180) / Math.PI;
    // Roofs may lie close together: the upper two have their names above, the others below.
    const place = `translate(${fixed(x(middle))} ${fixed(y(middle * rate))}) rotate(${fixed(angle)}) translate(0 ${i < 2 ? -5 : 14})`;
    return `<text class="roof-name" text-anchor="middle" transform="${place}">${level} ${digits(rate)} GB/s</text>`;
  });
  const flat = Math.min(...ridges, x.most);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Roofline: ${points.length} kernels by operations for each byte and GFLOP/s">
${x.decades.map((d) => `${line("grid", [x(d), margin.top], [x(d), height - margin.bottom])}<text class="tick" x="${fixed(x(d))}" y="${height - margin.bottom + 18}" text-anchor="middle">${decade(d)}</text>`).join("\n")}
${y.decades.map((d) => `${line("grid", [margin.left, y(d)], [width - margin.right, y(d)])}<text class="tick" x="${margin.left - 8}" y="${fixed(y(d) + 4)}" text-anchor="end">${decade(d)}</text>`).join("\n")}
<text class="axis" x="${(margin.left + width - margin.right) / 2}" y="${height - 8}" text-anchor="middle">operations for each byte touched</text>
<text class="axis" x="16" y="${height / 2}" text-anchor="middle" transform="rotate(-90 16 ${height / 2})">GFLOP/s</text>
${lines.join("\n")}
${names.join("\n")}
${line("roof", [x(flat), peak], [width - margin.right, peak])}
<text class="roof-name" x="${width - margin.right}" y="${fixed(peak - 16)}" text-anchor="end">multiply-adds ${digits(profile.peakGflops)} GFLOP/s</text>
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

type Point = readonly [x: number, y: number];
const line = (kind: string, from: Point, to: Point): string =>
  `<line class="${kind}" x1="${fixed(from[0])}" y1="${fixed(from[1])}" x2="${fixed(to[0])}" y2="${fixed(to[1])}"/>`;

/** Maps values to pixels, with a third of a decade around them. */
function logScale(values: readonly number[], from: number, to: number): Scale {
  const logs = values.map(Math.log10);
  const [low, high] = [Math.min(...logs) - 0.3, Math.max(...logs) + 0.3];
  const place = (value: number): number => from + ((to - from) * (Math.log10(value) - low)) / (high - low);
  const first = Math.ceil(low);
  const decades = Array.from({ length: Math.floor(high) - first + 1 }, (_, i) => 10 ** (first + i));
  return Object.assign(place, { least: 10 ** low, most: 10 ** high, decades });
}
const fixed = (n: number): string => n.toFixed(1);
const decade = (n: number): string => (n >= 1 ? n.toFixed(0) : String(Number(n.toPrecision(1))));
