/** What `tilewright schedule` can print beside the nest, and write instead of it. */
export const nestDetails = ["extents", "footprints", "intensity"] as const;
/** One of them. */
export type NestDetail = (typeof nestDetails)[number];
export const scheduleEmissions = ["loop", "llvm", "asm"] as const;
/** One of them. */
export type ScheduleEmission = (typeof scheduleEmissions)[number];
