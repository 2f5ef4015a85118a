/** Matrix products: rows read in any order, columns side by side or in panels of one register tile. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Group, Value } from "../../ir/graph/graph.ts";
import { isPlain, type Layout, lastBlocked, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { chooseRegisterTile, hasMasks, type Machine } from "../schedule/library/plan.ts";
import { alignedReadings } from "./aligned-readings.ts";
import type { MatmulShape } from "./contraction-shapes.ts";
import {
  type Candidate,
  type CandidateContext,
  freely,
  noWishes,
  plainReadings,
  type Reading,
} from "./layout-candidate.ts";
import { permutationOf, transposedLayout } from "./layout-views.ts";

/** What reading rows in another order costs beside the multiply-adds. */
const otherReadSlower = 0.03;

/** The ways to compute a matrix product: with its results row by row, or in the order in which a transposition wants them. */
export function matmulCandidates(c: CandidateContext, g: Group, s: MatmulShape): Candidate[] {
  const { graph, machine: m } = c;
  const readings = plainReadings(graph, g);
  const rank = staticDims(graph, g.anchor.outputs[0]!).length;
  const cycles = (s.batch * s.rows * s.columns * s.depth) / (m.lanes * m.fmaPerCycle);
  const packs = packsRight(valueOf(graph, s.right), s, m);
  if (packs) readings.set(s.right, [freely(matmulRightLayout(s, m))]);
  else addReadings(readings, s.right, rightLayouts(c, s));
  // Elements of the left side are read one by one, whatever their layout.
  if (valueOf(graph, s.left).constant === undefined)
    addReadings(readings, s.left, c.offered(s.left), otherReadSlower * cycles);
  const accumulates = packs || s.columns % m.lanes === 0;
  const inner = new Map<ValueId, Layout>();
  if (accumulates && g.nodes.length > 1) inner.set(g.anchor.outputs[0]!, lastBlocked(rank, m.lanes));
  const internal = accumulates && g.nodes.length === 1 ? { internal: lastBlocked(rank, m.lanes) } : {};
  const plain = { ...noWishes, output: plainLayout(rank), inner, readings, separateEpilogue: accumulates, ...internal };
  const turned = s.columns % m.lanes === 0 ? turnedLayouts(c, g.outputs[0]!) : [];
  return [plain, ...turned.map((output) => ({ ...plain, output, readings: withOperands(c, g, output, readings) }))];
}
/** Whether the right-hand side is packed in panels. */
function packsRight(right: Value, s: MatmulShape, m: Machine): boolean {
  // A single column tile reads the matrix in order as it lies.
  const lies = !s.rightTransposed && s.columns <= matmulTile(s, m).vectors * m.lanes && hasMasks(m);
  return right.type!.dims.length === 2 && !lies && (right.constant !== undefined || paysToPack(s, m));
}
/** Packing at run time reads the matrix once more than a product of few rows does; a small one is read from the first cache. */
function paysToPack(s: MatmulShape, m: Machine): boolean {
  const bytes = 4 * s.depth * s.columns;
  return s.rows >= 65 && bytes > m.l1Bytes / 2 && (s.columns % m.lanes !== 0 || bytes > 8 * m.l1Bytes);
}
/** Layouts of the right-hand side whose columns lie side by side. */
function rightLayouts({ graph, offered }: CandidateContext, s: MatmulShape): readonly Layout[] {
  if (s.rightTransposed || valueOf(graph, s.right).constant !== undefined) return [];
  return offered(s.right).filter((l) => {
    const last = l.dims.at(-1)!;
    return last.axis === l.rank - 1 && last.divisor === 1 && last.modulus === undefined;
  });
}
/** The layouts in which transpositions that read a product are the same memory in row-major order, columns last. */
function turnedLayouts({ graph, readers }: CandidateContext, v: ValueId): Layout[] {
  return readers(v).flatMap((n) => {
    const perm = permutationOf(graph, n);
    if (!perm || perm.at(-1) !== perm.length - 1) return [];
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [transposedLayout(plainLayout(perm.length), inverse)];
  });
}
/** The same readings, with those of operands of the nodes after the product in its result's layout. */
function withOperands(c: CandidateContext, g: Group, layout: Layout, plain: ReadonlyMap<ValueId, readonly Reading[]>) {
  const readings = new Map(plain);
  const dims = staticDims(c.graph, g.outputs[0]!);
  for (const v of g.inputs) {
    const operand = g.anchor.inputs.includes(v) ? undefined : alignedReadings(c, v, dims, layout);
    if (operand) readings.set(v, operand);
  }
  return readings;
}
function addReadings(
  readings: Map<ValueId, readonly Reading[]>,
  v: ValueId,
  layouts: readonly Layout[],
  cycles = 0,
): void {
  const known = readings.get(v) ?? [];
  readings.set(v, [...known, ...layouts.filter((l) => !isPlain(l)).map((layout) => ({ layout, cycles }))]);
}
/** Few columns: lanes run along the reduction, and so does memory on both sides. */
export function narrowCandidate({ graph }: CandidateContext, g: Group, s: MatmulShape): Candidate {
  const readings = plainReadings(graph, g);
  const columnsFirst: Layout = { name: "transposed", rank: 2, dims: [1, 0].map((axis) => ({ axis, divisor: 1 })) };
  if (!s.rightTransposed && s.columns > 1) readings.set(s.right, [freely(columnsFirst)]);
  return { ...noWishes, readings };
}
/** `[n tile][k][n in tile]` for the right-hand side of a matmul. */
function matmulRightLayout(s: MatmulShape, m: Machine): Layout {
  const tile = matmulTile(s, m).vectors * m.lanes;
  const [k, n] = s.rightTransposed ? [1, 0] : [0, 1];
  return {
    name: `packed${tile}`,
    rank: 2,
    dims: [
      { axis: n, divisor: tile },
      { axis: k, divisor: 1 },
      { axis: n, divisor: 1, modulus: tile },
    ],
  };
}
/** The register tile of a matmul. */
function matmulTile(s: MatmulShape, m: Machine) {
  return chooseRegisterTile(m, {
    vectorBlocks: Math.ceil(s.columns / m.lanes),
    extent: s.rows,
    alike: s.alike,
    depth: s.depth,
    outputBytes: 4 * s.alike * s.rows * s.columns,
  });
}
