// Who must go: the earlier of two logins on one platform, and whom somebody sends away.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { readKickOff, readOffline, REFUSAL } from '../support/contract.mjs'
import { now } from '../support/tokens.mjs'
import { STORM_WATCHED_MS } from '../support/waiting.mjs'

export const kicks = [
  {
    name: 'a second login kicks the first, which stays away, and its token is worth nothing',
    settings: { 'callbacks.kick_off.enable': true },
    async play(stage) {
      const { app, client: first, line, sdk, userID } = stage
      const [older, newer] = [60, 30].map((ago) => stage.mintedToken({ iat: now() - ago }))
      const second = await stage.anotherClient()

      const before = await stage.arrives(first, older)
      await second.login(newer)
      await second.sees('OnSyncServerFinish')
      await first.sees('OnKickedOffline')
      const requests = await app.hears(3)
      const kick = readKickOff(requests[1], { userID })
      const after = stage.readArrival(second, { dial: 1, request: 2 })
      assert.ok(before.seq < kick.seq && kick.seq < after.seq, 'in this order')

      await sleep(STORM_WATCHED_MS)
      assert.equal(line.dials.length, 2, 'nobody dials again')
      assert.equal(app.requests.length, 3, 'the user is still online: nothing more is told')
      assert.deepEqual(await stage.connIDs(), [after.connID])
      assert.equal(second.count('OnKickedOffline'), 0)

      await first.login(older)
      await first.sees('OnKickedOffline', 2)
      await sleep(STORM_WATCHED_MS)
      assert.equal(first.count('OnConnectFailed'), sdk.refusedFirst.length)
      assert.equal(first.count('OnConnectSuccess'), 1)
      assert.equal(line.dials.length, 3, 'refused once, and at rest')
      assert.equal(app.requests.length, 3)
      assert.deepEqual(await stage.connIDs(), [after.connID])
    },
  },
  {
    name: 'a user whom an administrator logs out is gone at once and stays away',
    // Longer than this test waits for anything.
    graceMs: 3_600_000,
    async play(stage) {
      const { client, userID } = stage
      const { connID } = await stage.arrives()
      await stage.forceLogout()
      await client.sees('OnKickedOffline')
      const [, offline] = await stage.app.hears(2)
      assert.equal(readOffline(offline, { userID }).connID, connID)
      await staysAway(stage)
    },
  },
  {
    name: 'a user whom the App refuses is put out and stays away',
    settings: { 'callbacks.online.timeout': '5m' },
    async play(stage) {
      const { app, client, userID } = stage
      app.answer = REFUSAL
      // The kick comes amid the first sync.
      await client.login(await stage.registeredToken())
      await client.sees('OnKickedOffline')
      const [, offline] = await app.hears(2)
      const { connID } = stage.readArrival(client, { dial: 0, request: 0 })
      assert.equal(readOffline(offline, { userID }).connID, connID)
      await staysAway(stage)
    },
  },
]

async function staysAway({ app, client, line }) {
  await sleep(STORM_WATCHED_MS)
  assert.equal(line.dials.length, 1, 'the SDK does not dial again')
  assert.equal(app.requests.length, 2, 'one coming, one going')
  assert.equal(client.count('OnKickedOffline'), 1)
}
