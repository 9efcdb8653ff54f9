// Users who watch other users, and ask how they are.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { readOffline } from '../support/contract.mjs'
import { PATIENT } from '../support/stage.mjs'
import { WATCHED_MS } from '../support/waiting.mjs'

const FRIEND = 'friend456'
const [OFFLINE, ONLINE] = [0, 1]

export const watching = [
  {
    name: 'who asks for the status of users is told it',
    async play(stage) {
      const { client, platformID, sdk } = stage
      const token = await stage.registeredToken()
      await stage.arrives(client, token)
      const friend = await stage.anotherClient(FRIEND)
      await stage.arrives(friend)
      const truth = [
        { userID: FRIEND, status: ONLINE, platformIDs: [platformID] },
        { userID: 'nobody', status: OFFLINE, platformIDs: [] },
      ]
      assert.deepEqual(sorted(tidy(await client.watch(FRIEND, 'nobody'))), truth)
      if (sdk.keepsWatched) assert.deepEqual(sorted(tidy(await client.watched())), truth)
      const asked = { userID: stage.userID, userIDs: [FRIEND, 'nobody'] }
      const { statusList } = await stage.rest('/user/get_users_status', asked, { token })
      assert.deepEqual(tidy(statusList), truth)
    },
  },
  {
    name: 'who watches a user sees them come and go',
    async play(stage) {
      const { app, client, platformID } = stage
      await stage.arrives()
      await client.watch(FRIEND)
      const friend = await stage.anotherClient(FRIEND)
      const { connID } = await stage.arrives(friend)
      const here = await client.seesStatus(FRIEND, ONLINE)
      assert.deepEqual(here.platformIDs, [platformID])
      await friend.logout()
      const gone = await client.seesStatus(FRIEND, OFFLINE)
      assert.deepEqual(gone.platformIDs ?? [], [])
      const [, , offline] = await app.hears(3)
      assert.equal(readOffline(offline, { userID: FRIEND }).connID, connID)
      await sleep(WATCHED_MS)
      assert.equal(app.requests.length, 3, 'watching is no business of the App')
    },
  },
  {
    name: 'who lost the line sees a friend go once they are back',
    ...PATIENT,
    async play(stage) {
      const { client, line, sdk } = stage
      await stage.arrives()
      const friend = await stage.anotherClient(FRIEND)
      await stage.arrives(friend)
      await client.watch(FRIEND)
      line.dials[0].cut()
      await client.sees('OnConnectSuccess', 2)
      if (!sdk.watchesAgain) await client.watch(FRIEND)
      await friend.logout()
      await client.seesStatus(FRIEND, OFFLINE)
    },
  },
  {
    name: 'who watches a user no longer is not told when they go',
    // The wasm SDK only crosses them off its own list.
    needs: (sdk) => sdk.keepsWatched,
    async play(stage) {
      const { app, client } = stage
      await stage.arrives()
      const friend = await stage.anotherClient(FRIEND)
      await stage.arrives(friend)
      await client.watch(FRIEND)
      await client.unwatch(FRIEND)
      assert.deepEqual(await client.watched(), [])
      await friend.logout()
      await app.hears(3)
      await sleep(WATCHED_MS)
      assert.equal(client.count('OnUserStatusChanged'), 0)
    },
  },
]

/** The wasm SDK keeps no order. */
function sorted(statuses) {
  return statuses.toSorted((one, other) => (one.userID < other.userID ? -1 : 1))
}

/** Without what is beside the point: an absent list is an empty one. */
function tidy(statuses) {
  return statuses.map(({ userID, status, platformIDs }) => {
    return { userID, status, platformIDs: platformIDs ?? [] }
  })
}
