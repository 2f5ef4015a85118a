/** `tilewright cache`: what compiled code lies on the disk. */

import { byteText } from "../../../ir/text/units.ts";
import { ObjectCache } from "../../runtime/object-cache.ts";
import type { Terminal } from "../terminal.ts";

/** What to do with the cache. */
export const cacheActions = ["stats", "clear"] as const;

/** Prints or clears what lies on the disk. */
export function cache(action: (typeof cacheActions)[number], terminal: Terminal): number {
  const store = ObjectCache.open();
  const { folder, entries, bytes } = store.stats();
  if (action === "clear") store.clear();
  const document = action === "clear" ? { folder, deleted: entries, freedBytes: bytes } : { folder, entries, bytes };
  terminal.result(document, () => {
    if (folder === undefined) return "the cache is off";
    const what = `${entries} entries (kernels, networks, code of our own), ${byteText(bytes)}`;
    return action === "clear" ? `deleted ${what} from ${folder}` : `${folder}: ${what}`;
  });
  return 0;
}
