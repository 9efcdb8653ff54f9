// Waiting, always with an end.

import { setTimeout as sleep } from 'node:timers/promises'

/** Generous: a machine may be busy. What is there is seen within a moment all the same. */
const DEADLINE_MS = 40_000
const POLL_MS = 20

/** As the SDKs come: `cargo xtask deep`. Otherwise the JS SDK dials again ten times as soon. */
export const REAL_TIME = Boolean(process.env.REAL_TIME)
/** What the JS SDK waits before it dials again, and what it waits here. */
export const REDIAL_MS = 5_000
export const REDIAL_HERE_MS = REAL_TIME ? REDIAL_MS : REDIAL_MS / 10

/** Long enough for a callback that must not come: Herald sends one at once. */
export const WATCHED_MS = 1_500
/** Long enough for a dial that must not come: three of the JS SDK; the wasm SDK dials at once. */
export const STORM_WATCHED_MS = REAL_TIME ? 12_000 : 1_800
/** For a client that is to return within the grace, on a busy machine as well. */
export const PATIENT_GRACE_MS = REAL_TIME ? 8_000 : 3_000
/** The same after a crash: the wasm SDK dials after 0, 1, 3 and 7 s. */
export const RESTART_GRACE_MS = REAL_TIME ? 20_000 : 8_000
/** Given up after the JS SDK has dialled again, yet within a test's patience. */
export const HALF_OPEN_MS = REAL_TIME ? 12_000 : 3_000

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
