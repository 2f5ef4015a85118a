/** The error function in float32. */
import type { Value } from "../writer.ts";
import { expSteps } from "./exp.ts";
import type { Avx512Steps, Steps } from "./steps.ts";

const near = [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1];
const far = [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1];

/** x + x·P(x²) below 0.93, 1 - exp(-|x| + |x|·Q(|x|)) above (the two-interval minimax fit of N. Juffa). */
export function erfSteps(s: Steps, x: Value): Value {
  if (s.avx512) return erfByTable(s, s.avx512, x);
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

/** From here on erf rounds to 1, and the table ends. */
const saturated = 3.8749998;
/** Adding and taking away this float rounds to quarters, which the last bits of the sum count. */
const quarters = 1.5 * 2 ** 21;
/** Below this, t itself is the base, so that small values keep their relative accuracy. */
const linear = 0.375;
/** erf at the quarters, rounded; and what is added to it: a polynomial in the distance from the quarter (minimax). */
const atQuarters = [
  0, 0, 0.520499885, 0.711155653, 0.842700779, 0.92290014, 0.966105163, 0.986671686, 0.995322287, 0.998537302,
  0.999593019, 0.999899387, 0.999977887, 0.999995708, 0.999999285, 0.999999881,
];
const around = [
  [
    0.111088805, 0.0808318481, 0.00815991312, -0.0524768308, -0.0687320307, -0.0471098684, -0.0150321787, 0.0064317733,
    0.012984829, 0.0106366435, 0.00613417802, 0.00277595967, 0.00102876592, 0.000319128885, 8.39459972e-5,
    1.87475398e-5,
  ],
  [
    0.00025763904, 0.126042083, 0.181912288, 0.150058523, 0.0692901537, -0.00566236395, -0.0441467836, -0.0478918217,
    -0.0344337784, -0.0191510245, -0.00868786126, -0.00329700042, -0.0010617557, -0.000292781537, -6.95548515e-5,
    -1.43062416e-5,
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
];

/**
 * erf(t) = base + P(t - c) around the nearest quarter c, whose coefficients are looked up: a third of the multiplications
 * of the polynomials above, and no exponential.
 */
function erfByTable(s: Steps, a: Avx512Steps, x: Value): Value {
  const t = s.abs(x);
  const clamped = s.select(s.test("olt", s.number(saturated), t), s.number(saturated), t);
  const counted = s.add(clamped, s.number(quarters));
  const h = s.sub(clamped, s.sub(counted, s.number(quarters)));
  const [highest, ...lower] = around.map((row) => a.lookup(row, counted)) as [Value, ...Value[]];
  const beyond = lower.reduce((sum, c) => s.mad(sum, h, c), highest);
  const base = s.select(s.test("olt", clamped, s.number(linear)), clamped, a.lookup(atQuarters, counted));
  return s.copySign(s.add(base, beyond), x);
}
