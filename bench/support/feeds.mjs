/** The same inputs for every program that is measured. */

/** Uniform in [-1, 1), from a linear congruential generator. */
export function uniformData(count, seed = 1) {
  const values = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    values[i] = state / 0x40000000 - 1;
  }
  return values;
}

/** One array an input port of an executable, all float32. */
export function feedData(ports) {
  return ports.map((port, i) => {
    if (port.type !== "float32") throw new Error(`input ${port.name} is ${port.type}; benches feed float32`);
    const count = port.dims.reduce((a, b) => a * b, 1);
    return { name: port.name, dims: port.dims, values: uniformData(count, i + 1) };
  });
}

/** Largest difference of two arrays, relative to the largest magnitude of the second; Infinity where one has a NaN. */
export function relativeError(actual, expected) {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let error = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, Math.abs(expected[i]));
    error = Math.max(error, difference);
  }
  return largest > 0 ? error / largest : error;
}
