/** How many of a test's random cases are drawn: all, or the share of them that `TILEWRIGHT_SHARE` gives. */
const given = Number(process.env.TILEWRIGHT_SHARE ?? 1);
export const share = (cases: number): number => Math.max(1, Math.ceil(cases * given));
