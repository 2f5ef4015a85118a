/** Small statistics over samples. */

/** The value below which a share `q` of the samples lies, with linear interpolation. */
export function quantile(samples, q) {
  const sorted = Float64Array.from(samples).sort();
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export const median = (samples) => quantile(samples, 0.5);

/** The middle half's width. */
export const interquartileRange = (samples) => quantile(samples, 0.75) - quantile(samples, 0.25);

export const geometricMean = (values) => Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);

/** Least squares y = intercept + slope x, the slope's standard error, and the share of variance explained. */
export function linearFit(xs, ys) {
  const n = xs.length;
  const meanX = xs.reduce((a, b) => a + b, 0) / n;
  const meanY = ys.reduce((a, b) => a + b, 0) / n;
  let sxx = 0;
  let sxy = 0;
  let syy = 0;
  for (let i = 0; i < n; i++) {
    sxx += (xs[i] - meanX) ** 2;
    sxy += (xs[i] - meanX) * (ys[i] - meanY);
    syy += (ys[i] - meanY) ** 2;
  }
  const slope = sxx > 0 ? sxy / sxx : 0;
  const r2 = syy > 0 && sxx > 0 ? sxy ** 2 / (sxx * syy) : 1;
  const residual = Math.max(0, syy - slope * sxy);
  const slopeError = n > 2 ? Math.sqrt(residual / (n - 2) / sxx) : Number.POSITIVE_INFINITY;
  return { slope, slopeError, intercept: meanY - slope * meanX, r2 };
}
