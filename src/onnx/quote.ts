/** Longest piece of a name that goes into a message. */
const longest = 120;

/** A name from a model file as a message may show it: quoted, control and other invisible characters escaped, cut. */
export function quote(name: string): string {
  const shown = name.length > longest ? `${name.slice(0, longest)}…` : name;
  return JSON.stringify(shown).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
