// What an App is told when its users come and go with the real OpenIM JS SDK.
//
// Each scenario has a herald, an App, a line and a client of its own, and all run side by side. A
// deadline says when to give up, never when something must have happened; the waits that are left
// watch for what must not happen.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { readOffline, readOnline } from './support/contract.mjs'
import { Stage } from './support/stage.mjs'

/** Long enough for a callback that must not come: Herald sends one at once. */
const WATCHED_MS = 1_500
/** More than the sum of what a scenario may wait for. */
const SCENARIO_TIMEOUT_MS = 55_000
/** The codes of OpenIM for a token that is no token, and for one of somebody else. */
const TOKEN_MALFORMED = 1503
const TOKEN_OF_ANOTHER = 1502

describe('with the OpenIM JS SDK', { concurrency: true }, () => {
  scenario('a login is told to the App exactly as the contract says', {}, async (stage) => {
    const { app, client, line } = stage
    const answer = await client.login(await stage.registeredToken())
    assert.equal(answer.errCode, 0, answer.errMsg)
    await client.sees('OnConnectSuccess')
    const [request] = await app.hears(1)
    const operationID = line.dials[0].says('operationID')
    assert.equal(answer.operationID, operationID, 'the operation that the SDK speaks of')
    const { connID } = readOnline(request, { userID: stage.userID, operationID })
    assert.deepEqual(await stage.connections(), [connID])
    await sleep(WATCHED_MS)
    assert.equal(app.requests.length, 1, 'told once')
  })

  // The SDK waits 5 s before it dials again.
  const patient = { graceMs: 8_000 }
  scenario('a line that is cut is dialled again and told anew', patient, async (stage) => {
    const { app, client, line } = stage
    await client.login(await stage.registeredToken())
    await client.sees('OnConnectSuccess')
    await app.hears(1)
    line.cut()
    const cutAt = performance.now()
    await client.sees('OnConnectSuccess', 2)
    // Past the grace of the connection that is gone, when an offline would be due.
    await sleep(cutAt + stage.graceMs + WATCHED_MS - performance.now())
    assert.equal(line.dials.length, 2)
    assert.equal(app.requests.length, 2, 'the login and the reconnect, and no offline')
    const [before, after] = app.requests.map((request, at) => {
      const operationID = line.dials[at].says('operationID')
      return readOnline(request, { userID: stage.userID, operationID })
    })
    assert.ok(after.seq > before.seq, `${after.seq} comes after ${before.seq}`)
    assert.notEqual(after.connID, before.connID)
    assert.deepEqual(await stage.connections(), [after.connID])
  })

  scenario('a custom status is told with the connection that is there', {}, async (stage) => {
    const { app, client, line, userID } = stage
    const token = await stage.registeredToken()
    await client.login(token)
    const [first] = await app.hears(1)
    const login = readOnline(first, { userID, operationID: line.dials[0].says('operationID') })
    const status = { userID, platformID: stage.platformID, status: 1, text: 'in a meeting' }
    await stage.rest('/user/set_user_status', status, { token, operationID: 'op-of-a-status' })
    const [, second] = await app.hears(2)
    const told = readOnline(second, { userID, operationID: 'op-of-a-status' })
    assert.equal(told.connID, login.connID)
    assert.ok(told.seq > login.seq, `${told.seq} comes after ${login.seq}`)
    await sleep(WATCHED_MS)
    assert.equal(app.requests.length, 2, 'told once')
  })

  scenario('a logout is told once, as offline, when the grace is over', {}, async (stage) => {
    const { app, client, line, userID } = stage
    await client.login(await stage.registeredToken())
    await client.sees('OnConnectSuccess')
    const [first] = await app.hears(1)
    const login = readOnline(first, { userID, operationID: line.dials[0].says('operationID') })
    const leftAt = performance.now()
    const answer = await client.logout()
    assert.equal(answer.errCode, 0, answer.errMsg)
    const [, second] = await app.hears(2)
    const offline = readOffline(second, { userID })
    assert.equal(offline.connID, login.connID)
    assert.ok(offline.seq > login.seq, `${offline.seq} comes after ${login.seq}`)
    // A tenth for two clocks that are not the same.
    const after = second.heardAt - leftAt
    assert.ok(after > 0.9 * stage.graceMs, `told ${Math.round(after)} ms after the logout`)
    assert.deepEqual(await stage.connections(), [])
    await sleep(stage.graceMs + WATCHED_MS)
    assert.equal(app.requests.length, 2, 'told once')
    assert.equal(line.dials.length, 1, 'the SDK stays away')
  })

  scenario('a token that is none is refused and not tried again', {}, async (stage) => {
    await refused(stage, 'not.a.token', TOKEN_MALFORMED)
  })

  scenario('a token of another user is refused and not tried again', {}, async (stage) => {
    await refused(stage, await stage.registeredToken('somebody-else'), TOKEN_OF_ANOTHER)
  })

  scenario('a client that idles stays, and the App is told no more', {}, async (stage) => {
    const { app, client, line, userID } = stage
    await client.login(await stage.registeredToken())
    await client.sees('OnConnectSuccess')
    const [request] = await app.hears(1)
    const operationID = line.dials[0].says('operationID')
    const { connID } = readOnline(request, { userID, operationID })
    // The SDK asks for a pong every 10 s, and hangs up when it asks again without having had one.
    await sleep(25_000)
    assert.equal(line.dials.length, 1)
    assert.ok(line.dials[0].open, 'nobody hung up')
    assert.equal(app.requests.length, 1, 'the login, and nothing since')
    assert.equal(client.count('OnConnecting'), 1)
    assert.deepEqual(await stage.connections(), [connID])
  })
})

/** A refusal ends the matter for the SDK, which by itself would redial every 5 s for ever. */
async function refused(stage, badToken, code) {
  const { app, client, line, userID } = stage
  await client.login(badToken)
  const failed = await client.sees('OnConnectFailed')
  const invalid = await client.sees('OnUserTokenInvalid')
  assert.deepEqual([failed.errCode, invalid.errCode], [code, code])
  await sleep(12_000)
  assert.equal(line.dials.length, 1, 'the SDK does not dial again')
  assert.equal(app.requests.length, 0, 'the App does not hear of it')
  assert.equal(client.count('OnConnectSuccess'), 0)

  const answer = await client.login(await stage.registeredToken())
  assert.equal(answer.errCode, 0, answer.errMsg)
  await client.sees('OnConnectSuccess')
  const [request] = await app.hears(1)
  readOnline(request, { userID, operationID: line.dials[1].says('operationID') })
}

/** One test on a stage of its own; if it fails, what was seen on that stage is printed. */
function scenario(name, options, play) {
  test(name, { timeout: SCENARIO_TIMEOUT_MS }, async (context) => {
    const stage = await Stage.build(options)
    try {
      await play(stage)
    } catch (error) {
      stage.story().forEach((line) => context.diagnostic(line))
      throw error
    } finally {
      await stage.clear()
    }
  })
}
