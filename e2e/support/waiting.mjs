// Waiting, always with an end.

import { setTimeout as sleep } from 'node:timers/promises'

/** Generous: a machine may be busy. What is there is seen within a moment all the same. */
const DEADLINE_MS = 40_000
const POLL_MS = 20

/** Long enough for a callback that must not come: Herald sends one at once. */
export const WATCHED_MS = 1_500
/** Long enough for a dial that must not come: the JS SDK dials every 5 s, the wasm SDK sooner. */
export const STORM_WATCHED_MS = 12_000

/** Waits until `probe` returns something true, and returns that. */
export async function eventually(what, probe) {
  const deadline = performance.now() + DEADLINE_MS
  while (performance.now() < deadline) {
    const seen = await probe()
    if (seen) return seen
    await sleep(POLL_MS)
  }
  throw new Error(`${what}: not within ${DEADLINE_MS} ms`)
}

/** Lets a server listen on a free port of this machine, and returns its address. */
export function listening(server) {
  return new Promise((done, fail) => {
    server.once('error', fail)
    server.listen(0, '127.0.0.1', () => done(`127.0.0.1:${server.address().port}`))
  })
}
