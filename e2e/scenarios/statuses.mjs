// What a client says of its user beside being there.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { readBackground, readOnline } from '../support/contract.mjs'
import { eventually, WATCHED_MS } from '../support/waiting.mjs'

export const statuses = [
  {
    name: 'a custom status is told with the connection that is there',
    async play(stage) {
      const { app } = stage
      const token = await stage.registeredToken()
      const login = await stage.arrives(stage.client, token)
      const told = await setStatus(stage, { token, text: 'in a meeting' })
      assert.equal(told.connID, login.connID)
      assert.ok(told.seq > login.seq, `${told.seq} comes after ${login.seq}`)
      await sleep(WATCHED_MS)
      assert.equal(app.requests.length, 2, 'told once')
    },
  },
  {
    name: 'an App in the background says so with its next status, and no longer once it is back',
    needs: (sdk) => sdk.tellsBackground,
    async play(stage) {
      const { app, client } = stage
      const token = await stage.registeredToken()
      const { connID } = await stage.arrives(client, token)
      await client.setBackground(true)
      await eventually('Herald knows', async () => (await stage.connections())[0].isBackground)
      const away = await setStatus(stage, { token, text: 'away', isAppBackground: true })
      await client.setBackground(false)
      await eventually('Herald knows', async () => !(await stage.connections())[0].isBackground)
      const back = await setStatus(stage, { token, text: 'back' })
      assert.deepEqual([away.connID, back.connID], [connID, connID])
      await sleep(WATCHED_MS)
      assert.equal(app.requests.length, 3, 'a switch alone is not told')
      assert.equal(client.count('OnConnectSuccess'), 1)
    },
  },
  {
    name: 'an App that asks for it is told who goes to the background and comes back',
    needs: (sdk) => sdk.tellsBackground,
    settings: { 'callbacks.background.enable': true },
    async play(stage) {
      const { app, client, userID } = stage
      const login = await stage.arrives()
      await client.setBackground(true)
      const away = readBackground((await app.hears(2))[1], { userID, isAppBackground: true })
      await client.setBackground(false)
      const back = readBackground((await app.hears(3))[2], { userID, isAppBackground: false })
      assert.deepEqual([away.connID, back.connID], [login.connID, login.connID])
      assert.ok(login.seq < away.seq && back.seq >= away.seq + 1_000, 'once a second at most')
      await sleep(WATCHED_MS)
      assert.equal(app.requests.length, 3, 'told once each')
    },
  },
]

/** Sets it over REST as the user, and returns what the App is told next. */
async function setStatus(stage, { token, text, isAppBackground }) {
  const { app, userID, platformID } = stage
  const heard = app.requests.length
  const operationID = `op-of-status-${heard}`
  const status = { userID, platformID, status: 1, text }
  await stage.rest('/user/set_user_status', status, { token, operationID })
  const requests = await app.hears(heard + 1)
  return readOnline(requests[heard], { userID, operationID, isAppBackground })
}
