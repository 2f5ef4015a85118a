/**
 * Says in `$TILEWRIGHT_TEST_RUNNING/PID.json` what this worker is at, so that scripts/test.mjs can name, show and end
 * a test whose thread is blocked, which no timeout within the thread can.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach } from "vitest";

const folder = process.env.TILEWRIGHT_TEST_RUNNING;
if (folder) {
  const record = join(folder, `${process.pid}.json`);
  const say = (file: string, test: string) => writeFileSync(record, JSON.stringify({ file, test, since: Date.now() }));
  beforeEach(({ task }) => say(task.file.name, task.name));
  afterAll(() => rmSync(record, { force: true }));
}
