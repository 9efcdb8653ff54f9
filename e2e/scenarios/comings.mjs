// Clients that come, stay, lose their line, return and go.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { readOffline } from '../support/contract.mjs'
import { PATIENT } from '../support/stage.mjs'
import {
  HALF_OPEN_MS,
  RESTART_GRACE_MS,
  STORM_WATCHED_MS,
  WATCHED_MS,
} from '../support/waiting.mjs'

const SHORT_SIGHTED = {
  settings: {
    'gateway.read_timeout': `${HALF_OPEN_MS}ms`,
    'gateway.ping_interval': `${HALF_OPEN_MS / 6}ms`,
  },
}

export const comings = [
  {
    // First, for it takes longest. The JS SDK asks for a pong every 10 s, and hangs up when it asks
    // again without having had one; the wasm SDK says nothing by itself.
    name: 'a client that idles for 35 s stays, and the App is told no more',
    realTime: true,
    async play(stage) {
      const { app, client, line } = stage
      const { connID } = await stage.arrives()
      await sleep(35_000)
      assert.equal(line.dials.length, 1)
      assert.ok(line.dials[0].open, 'nobody hung up')
      assert.equal(app.requests.length, 1, 'the login, and nothing since')
      assert.equal(client.count('OnConnecting'), 1)
      assert.deepEqual(await stage.connIDs(), [connID])
    },
  },
  {
    name: 'a login is told to the App exactly as the contract says',
    async play(stage) {
      const { app, client, line, setup } = stage
      const { connID } = await stage.arrives()
      assert.deepEqual(await stage.connIDs(), [connID])
      await sleep(WATCHED_MS)
      assert.equal(app.requests.length, 1, 'told once')
      assert.equal(line.dials.length, 1)
      assert.equal(client.count('OnConnectFailed'), 0)
      assert.equal(client.count('OnSyncServerFailed'), 0)
      const requests = client.requestsTo(stage.api)
      assert.equal(requests.length > 0, setup.needsLeave, 'the browser asks another origin')
      for (const { url, status, text } of requests) {
        assert.equal(status, 200, url)
        assert.equal(JSON.parse(text).errCode, 0, `${url}: ${text}`)
      }
    },
  },
  {
    name: 'a token that an OpenIM server made lets its user in',
    async play(stage) {
      const { connID } = await stage.arrives(stage.client, stage.mintedToken())
      assert.deepEqual(await stage.connIDs(), [connID])
    },
  },
  {
    name: 'a line that is cut is dialled again with the same token and told anew',
    ...PATIENT,
    async play(stage) {
      const { app, client, line } = stage
      const before = await stage.arrives()
      line.cut()
      const cutAt = performance.now()
      await client.sees('OnConnectSuccess', 2)
      // Past the grace of the connection that is gone, when an offline would be due.
      await sleep(cutAt + stage.graceMs + WATCHED_MS - performance.now())
      assert.equal(line.dials.length, 2)
      assert.equal(line.dials[1].says('token'), line.dials[0].says('token'))
      assert.equal(app.requests.length, 2, 'the login and the reconnect, and no offline')
      const after = stage.readArrival(client, { dial: 1, request: 1 })
      assert.ok(after.seq > before.seq, `${after.seq} comes after ${before.seq}`)
      assert.notEqual(after.connID, before.connID)
      assert.deepEqual(await stage.connIDs(), [after.connID])
    },
  },
  {
    name: 'a herald that crashed finds its clients again, and tells no departure',
    settings: { 'presence.restart_grace': `${RESTART_GRACE_MS}ms` },
    async play(stage) {
      const { app, client, herald, line } = stage
      const before = await stage.arrives()
      await herald.crash()
      const backAt = performance.now()
      await client.sees('OnConnectSuccess', 2)
      await app.hears(2)
      const after = stage.readArrival(client, { dial: line.dials.length - 1, request: 1 })
      assert.ok(after.seq > before.seq, `${after.seq} comes after ${before.seq}`)
      // Past the grace of a restart, when an offline would be due.
      await sleep(backAt + RESTART_GRACE_MS + WATCHED_MS - performance.now())
      assert.equal(app.requests.length, 2, 'the login and the return')
      assert.deepEqual(await stage.connIDs(), [after.connID])
    },
  },
  {
    name: 'a client that returns while its old line is half open is let in, and stays',
    ...SHORT_SIGHTED,
    async play(stage) {
      const { app, client, line } = stage
      const before = await stage.arrives()
      line.dials[0].leaveHalfOpen()
      await client.sees('OnConnectSuccess', 2)
      await app.hears(2)
      const after = stage.readArrival(client, { dial: 1, request: 1 })
      assert.equal(line.dials[1].says('token'), line.dials[0].says('token'))
      assert.ok(line.dials[0].open, 'Herald did not notice that the first line is dead')
      assert.deepEqual((await stage.connIDs()).sort(), [before.connID, after.connID].sort())
      await line.dials[0].ends()
      await sleep(stage.graceMs + WATCHED_MS)
      assert.equal(app.requests.length, 2, 'the end of the old connection is no departure')
      assert.deepEqual(await stage.connIDs(), [after.connID])
      assert.ok(line.dials[1].open)
      assert.equal(line.dials.length, 2)
      assert.equal(client.count('OnKickedOffline'), 0)
    },
  },
  {
    name: 'a logout that only ends the line is told once, as offline, when the grace is over',
    needs: (sdk) => !sdk.saysGoodbye,
    async play(stage) {
      const { app, client, line, userID } = stage
      const login = await stage.arrives()
      const leftAt = performance.now()
      await client.logout()
      const [, second] = await app.hears(2)
      const offline = readOffline(second, { userID })
      assert.equal(offline.connID, login.connID)
      assert.ok(offline.seq > login.seq, `${offline.seq} comes after ${login.seq}`)
      // A tenth for two clocks that are not the same.
      const after = second.heardAt - leftAt
      assert.ok(after > 0.9 * stage.graceMs, `told ${Math.round(after)} ms after the logout`)
      assert.deepEqual(await stage.connIDs(), [])
      await sleep(stage.graceMs + WATCHED_MS)
      assert.equal(app.requests.length, 2, 'told once')
      assert.equal(line.dials.length, 1, 'the SDK stays away')
    },
  },
  {
    name: 'a logout that says so is told once, as offline, without any grace',
    needs: (sdk) => sdk.saysGoodbye,
    // Longer than this test waits for anything.
    graceMs: 3_600_000,
    async play(stage) {
      const { app, client, line, userID } = stage
      const login = await stage.arrives()
      await client.logout()
      const [, second] = await app.hears(2)
      const offline = readOffline(second, { userID })
      assert.equal(offline.connID, login.connID)
      assert.ok(offline.seq > login.seq, `${offline.seq} comes after ${login.seq}`)
      assert.deepEqual(await stage.connIDs(), [])
      await sleep(STORM_WATCHED_MS)
      assert.equal(app.requests.length, 2, 'told once')
      assert.equal(line.dials.length, 1, 'the SDK stays away')
    },
  },
]
