// Waiting, always with an end.

import { setTimeout as sleep } from 'node:timers/promises'

/** Generous: a machine may be busy. What is there is seen within a moment all the same. */
const DEADLINE_MS = 20_000
const POLL_MS = 20

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
