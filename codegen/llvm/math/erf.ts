/** The error function in float32. */
import type { Value } from "../writer.ts";
import { expSteps } from "./exp.ts";
import type { Steps } from "./steps.ts";

const near = [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1];
const far = [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1];

/** x + x·P(x²) below 0.93, 1 - exp(-|x| + |x|·Q(|x|)) above (the two-interval minimax fit of N. Juffa). */
export function erfSteps(s: Steps, x: Value): Value {
  if (s.tableEntries !== 1) return erfByTable(s, tables[s.tableEntries], x);
  const t = s.abs(x);
  const square = s.mul(x, x);
  const small = s.mad(s.polynomial(square, near), x, x);
  const top = s.mad(s.number(-1.7285347e-5), t, s.number(3.83197126e-4));
  const next = s.mad(s.number(-3.88396438e-3), t, s.number(2.42546219e-2));
  const q = far.reduce((sum, c) => s.mad(sum, t, s.number(c)), s.mad(top, square, next));
  const exponent = s.sub(s.mul(q, t), t);
  const large = s.copySign(s.sub(s.number(1), expSteps(s, exponent)), x);
  return s.select(s.test("ogt", t, s.number(0.927734375)), large, small);
}

/** Adding and taking away this float rounds to a whole number, which the last bits of the sum count. */
const toWhole = 1.5 * 2 ** 23;

/** Centres k·step for every entry k, and what is looked up for the nearest one. */
interface ErfTable {
  readonly step: number;
  /** From here on erf rounds to 1, and the table ends. */
  readonly saturated: number;
  /** erf at the centres, rounded; not read for the first two, where t is the base. */
  readonly bases: readonly number[];
  /** Coefficients of what is added to the base, the highest first: a polynomial in the distance from the centre (minimax). */
  readonly around: readonly (readonly number[])[];
}
const tables: Record<8 | 16, ErfTable> = {
  8: {
    step: 67 / 128,
    saturated: 3.92,
    bases: [0, 0, 0.861261427, 0.973632574, 0.996933699, 0.999785483, 0.999991059, 0.999999762],
    around: [
      [
        -0.0303400401, 0.00681299251, 0.0129288677, -0.00547133712, -0.00226575648, 0.000650554313, 0.000257107837,
        2.7571692e-5,
      ],
      [
        0.00355885457, -0.0477358364, 0.00856182445, 0.0165394172, -0.00117665948, -0.00227699894, -0.000438626535,
        -3.40219885e-5,
      ],
      [
        0.111662656, 0.000381422811, -0.0671920106, -0.00726712542, 0.0127986735, 0.00432574144, 0.000535652158,
        3.11549629e-5,
      ],
      [
        0.000170673258, 0.183475912, 0.0532038324, -0.0484464839, -0.0283462275, -0.00558142504, -0.000513491337,
        -2.41806665e-5,
      ],
      [
        -0.376137376, -0.129273251, 0.149832264, 0.125604302, 0.0364555269, 0.00506218011, 0.000366551481,
        1.43659199e-5,
      ],
      [
        2.56511441e-7, -0.449084729, -0.394808471, -0.150495231, -0.0294796824, -0.00312979054, -0.000184423712,
        -6.10877305e-6,
      ],
      [0.128379166, -0.142045811, 0.377130121, 0.0958376974, 0.0140799033, 0.00119586207, 5.87192044e-5, 1.66683765e-6],
      [0, 0.0174156483, -1.0400506e-9, 1.7591713e-8, -2.22523315e-8, -1.26646471e-8, 7.92121302e-9, 1.86275244e-8],
    ],
  },
  16: {
    step: 0.25,
    saturated: 3.8749998,
    bases: [
      0, 0, 0.520499885, 0.711155653, 0.842700779, 0.92290014, 0.966105163, 0.986671686, 0.995322287, 0.998537302,
      0.999593019, 0.999899387, 0.999977887, 0.999995708, 0.999999285, 0.999999881,
    ],
    around: [
      [
        0.111088805, 0.0808318481, 0.00815991312, -0.0524768308, -0.0687320307, -0.0471098684, -0.0150321787,
        0.0064317733, 0.012984829, 0.0106366435, 0.00613417802, 0.00277595967, 0.00102876592, 0.000319128885,
        8.39459972e-5, 1.87475398e-5,
      ],
      [
        0.00025763904, 0.126042083, 0.181912288, 0.150058523, 0.0692901537, -0.00566236395, -0.0441467836,
        -0.0478918217, -0.0344337784, -0.0191510245, -0.00868786126, -0.00329700042, -0.0010617557, -0.000292781537,
        -6.95548515e-5, -1.43062416e-5,
      ],
      [
        -0.376139522, -0.309191197, -0.1464784, 0.0267797224, 0.138365179, 0.167535573, 0.138753727, 0.0901591107,
        0.0482239127, 0.0217247475, 0.00834993366, 0.00276020169, 0.000788987207, 0.000195760178, 4.22784979e-5,
        7.96698805e-6,
      ],
      [
        2.23324292e-7, -0.264998108, -0.43938446, -0.482194632, -0.415108114, -0.295654327, -0.178398088, -0.092357479,
        -0.0413340367, -0.016069822, -0.00544532714, -0.00161203451, -0.000417657313, -9.48278612e-5, -1.88872e-5,
        -3.3025849e-6,
      ],
      [
        0.128379166, 0.0600142144, 0.87878263, 0.642931104, 0.415107518, 0.236521125, 0.118930288, 0.0527749918,
        0.020666983, 0.00714231841, 0.00217828457, 0.000586277689, 0.00013925333, 2.91891483e-5, 5.39946859e-6,
        1.00143768e-6,
      ],
      [
        0, 0.0263263863, -1.31631781e-8, -2.25284484e-8, 1.40312677e-8, -9.50307832e-9, -1.43234864e-8, -1.38828868e-8,
        -2.2010564e-8, -1.8946583e-8, 2.81642816e-8, -9.47964285e-9, 2.27377726e-8, -1.1276728e-8, -2.78520158e-8,
        2.04795647e-8,
      ],
    ],
  },
};

/**
 * erf(t) = base + P(t - c) around the nearest centre c, whose coefficients are looked up: half of the multiplications of
 * the polynomials above or less, and no exponential.
 */
function erfByTable(s: Steps, { step, saturated, bases, around }: ErfTable, x: Value): Value {
  const t = s.abs(x);
  const clamped = s.select(s.test("olt", s.number(saturated), t), s.number(saturated), t);
  const counted = s.mad(clamped, s.number(1 / step), s.number(toWhole));
  const h = s.mad(s.sub(counted, s.number(toWhole)), s.number(-step), clamped);
  const [highest, ...lower] = around.map((row) => s.lookup(row, counted)) as [Value, ...Value[]];
  const beyond = lower.reduce((sum, c) => s.mad(sum, h, c), highest);
  // So that small values keep their relative accuracy.
  const small = s.test("olt", counted, s.number(toWhole + 2));
  const base = s.select(small, clamped, s.lookup(bases, counted));
  return s.copySign(s.add(base, beyond), x);
}
