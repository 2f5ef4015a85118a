export const bench = async (..._: unknown[]) => 0;
