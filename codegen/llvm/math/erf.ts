/** The error function in float32 (the two-interval minimax fit of N. Juffa). */
import type { Value } from "../writer.ts";
import { expSteps } from "./exp.ts";
import type { Steps } from "./steps.ts";

const near = [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1];
const far = [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1];

/** x + x·P(x²) below 0.93, 1 - exp(-|x| + |x|·Q(|x|)) above. */
export function erfSteps(s: Steps, x: Value): Value {
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
