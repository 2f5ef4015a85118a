/** The HTML view: what each step did as data, and the page as text. */
import { describe, expect, test } from "vitest";
import { parseProgram } from "../../../ir/text/parser.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { type Box, type Mark, viewOf } from "../../../passes/schedule/view.ts";
import { scheduleHtml } from "../../../src/index.ts";
import { matmul, scale, stencil } from "./loop-programs.ts";

function tiled(): Schedule {
  const s = new Schedule(matmul(16, 32, 8));
  const { inner } = s.tile([s.loop("i"), s.loop("j")], [4, 8], "exact");
  s.reorder(s.loop("k"), ...inner);
  s.decomposeReduction(s.block("C"), s.loop("k"));
  s.vectorize(s.loops("C").at(-1)!);
  return s;
}
/** `name: marks` of every marked box. */
function marked(list: readonly Box[]): string[] {
  return list.flatMap((b) => [...(b.marks.length > 0 ? [`${b.name}: ${b.marks.join(" ")}`] : []), ...marked(b.inside)]);
}
/** The view of one step on a program. */
function step(s: Schedule, apply: (s: Schedule) => unknown) {
  const before = s.program;
  apply(s);
  const view = viewOf(s.func.name, [before, s.program], s.trace.steps.slice(-1));
  return { before: marked(view.steps[0]!.before), after: marked(view.steps[0]!.after) };
}

describe("a step", () => {
  test("that splits shows what went and what came", () => {
    const { before, after } = step(new Schedule(scale(8, 8)), (s) => s.split(s.loop("i"), { factor: 4 }));
    expect(before).toEqual(["i: removed", "B: changed"]);
    expect(after).toEqual(["i_o: created", "i_i: created", "B: changed"]);
  });
  test("that reorders shows what moved", () => {
    const { before, after } = step(new Schedule(scale(8, 4)), (s) => s.reorder(s.loop("j"), s.loop("i")));
    expect(before).toEqual(["i: moved", "j: moved", "B: moved"]);
    expect(after).toEqual(["j: moved", "i: moved", "B: moved"]);
  });
  test("that computes a block elsewhere shows that it moved", () => {
    const s = new Schedule(stencil(12));
    const [o] = s.split(s.loopAt("C", 0), { factor: 4 });
    const { after } = step(s, () => s.computeAt(s.block("B"), o));
    expect(after).toContain("B: moved changed");
    expect(after.filter((l) => l.endsWith("created"))).toEqual(["i0: created"]);
  });
  test("that annotates changes the loop only", () => {
    const { before, after } = step(new Schedule(scale(8, 4)), (s) => s.vectorize(s.loop("j")));
    expect([before, after]).toEqual([["j: changed"], ["j: changed"]]);
  });
  test("that makes a buffer shows it", () => {
    const s = new Schedule(matmul(4, 4, 4));
    const { after } = step(s, () => s.cacheRead(s.block("C"), "A", "stack"));
    expect(after).toEqual(["A_stack: created", "d0: created", "d1: created", "A_stack_copy: created", "C: changed"]);
  });
});

/** Tags of a page, each closed where it was opened. */
function elements(html: string): { name: string; attributes: string; depth: number }[] {
  const found: { name: string; attributes: string; depth: number }[] = [];
  const open: string[] = [];
  const text = html.replace(/<(style|script)>[\s\S]*?<\/\1>/g, "<$1></$1>");
  for (const [, close, name, attributes] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>/g)) {
    if (close) expect(open.pop()).toBe(name);
    else {
      found.push({ name: name!, attributes: attributes!, depth: open.length });
      if (name !== "meta") open.push(name!);
    }
  }
  expect(open).toEqual([]);
  return found;
}
const having = (list: ReturnType<typeof elements>, name: string, text = "") =>
  list.filter((e) => e.name === name && e.attributes.includes(text));

describe("the page", () => {
  const s = tiled();
  const html = s.toHtml();
  const all = elements(html);
  const steps = s.trace.steps.length;
  test("has a section and a link for the start and each step, each with its title", () => {
    expect(having(all, "section", 'class="step"')).toHaveLength(steps + 1);
    for (let k = 0; k <= steps; k++) {
      expect(having(all, "a", `href="#step-${k}"`)).toHaveLength(1);
      expect(having(all, "section", `aria-labelledby="title-${k}"`)).toHaveLength(1);
      expect(having(all, "h2", `id="title-${k}"`)).toHaveLength(1);
    }
    expect(having(all, "h1")).toHaveLength(1);
    expect(having(all, "nav", "aria-label")).toHaveLength(1);
    expect(having(all, "html", 'lang="en"')).toHaveLength(1);
  });
  test("nests boxes as loops nest", () => {
    const last = html.slice(html.indexOf(`id="step-${steps}"`));
    const after = last.slice(last.indexOf("After"));
    const depths = having(
      elements(`<div>${after.slice(after.indexOf("<ul"), after.indexOf("</figure>"))}</div>`),
      "li",
    );
    const loop = (name: string) =>
      depths.find((e) => e.attributes.includes(`data-key="loop ${s.loop(name, "C").id}"`))!.depth;
    const order = ["i_o", "j_o", "k", "i_i", "j_i"].map(loop);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(new Set(order).size).toBe(order.length);
    expect(depths.filter((e) => e.attributes.includes("vectorized"))).toHaveLength(1);
  });
  test("says every mark in words too", () => {
    const words: Record<Mark, string> = { created: "new", removed: "gone", moved: "moved", changed: "changed" };
    for (const [mark, word] of Object.entries(words))
      expect(html).toContain(`<span class="mark ${mark}">${word}</span>`);
    expect(html).toContain('<p class="summary">new: i_o, i_i; gone: i; changed: C</p>');
  });
  test("loads nothing and lets nothing be loaded", () => {
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/\b(src|srcset)=|https?:|url\(|@import|<link/);
  });
  test("is the same for the same schedule", () => {
    expect(tiled().toHtml()).toBe(html);
    expect(scheduleHtml(matmul(16, 32, 8), s.trace)).toBe(html);
    expect(scheduleHtml(matmul(16, 32, 8), s.trace.toJSON(), "Mine")).toContain("<h1>Mine</h1>");
  });
  test("shows names as text, whatever they are", () => {
    const p = parseProgram(`program \`</script><b>\`(A: output float32[4]):
  for \`<i onclick=x>\` in 0..4:
    block \`\\"&'<\`(v: spatial 4 = \`<i onclick=x>\`):
      writes A[v]
      A[v] = 1.0
`);
    const t = new Schedule(p);
    t.split(t.loopAt(t.blocks()[0]!, 0), { factor: 2 });
    const page = t.toHtml("<script>alert(1)</script>");
    const names = new Set(elements(page).map((e) => e.name));
    expect(["b", "i"].filter((n) => names.has(n))).toEqual([]);
    expect(having(elements(page), "script")).toHaveLength(1);
    expect(page).toContain("<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>");
  });
  test("shows a schedule without steps", () => {
    const page = new Schedule(scale(2, 2)).toHtml();
    expect(having(elements(page), "section")).toHaveLength(1);
  });
});
