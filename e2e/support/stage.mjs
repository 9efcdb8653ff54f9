// All that a scenario needs: an App, a herald that tells it, a line to the herald, and clients.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

import { App } from './app.mjs'
import { Client } from './client.mjs'
import { readOnline } from './contract.mjs'
import { Herald } from './herald.mjs'
import { Line } from './line.mjs'
import { mint } from './tokens.mjs'
import { PATIENT_GRACE_MS } from './waiting.mjs'

const ADMIN = 'imAdmin'

/** For a client that is to return within the grace. */
export const PATIENT = { graceMs: PATIENT_GRACE_MS }

export class Stage {
  userID = 'user123'
  platformID = 5
  #secret = randomUUID()
  #clients = []

  /** `settings` are keys of Herald's configuration with their values. */
  static async build(setup, { graceMs = 2_000, settings = {} } = {}) {
    const stage = new Stage()
    stage.setup = setup
    stage.sdk = setup.sdk
    stage.graceMs = graceMs
    try {
      stage.app = await App.start()
      stage.herald = await Herald.start({
        'auth.secret': stage.#secret,
        'callbacks.url': stage.app.url,
        'presence.offline_grace': `${graceMs}ms`,
        ...settings,
      })
      stage.line = await Line.to(stage.herald.gateway)
      stage.client = await stage.anotherClient()
    } catch (error) {
      await stage.clear()
      throw error
    }
    return stage
  }

  /** One more client, on the same line. */
  async anotherClient(userID = this.userID) {
    const { setup, platformID, line, api } = this
    const client = await Client.open(setup, { userID, platformID, wsAddr: line.url, apiAddr: api })
    this.#clients.push(client)
    return client
  }

  get api() {
    return `http://${this.herald.api}`
  }

  /** Logs a client in until it is in sync, and returns what the App was told of that. */
  async arrives(client = this.client, token) {
    const { app, line } = this
    const [dials, heard] = [line.dials.length, app.requests.length]
    const events = ['OnConnectSuccess', 'OnSyncServerFinish']
    const before = events.map((event) => client.count(event))
    await client.login(token ?? (await this.registeredToken(client.userID)))
    for (const [at, event] of events.entries()) await client.sees(event, before[at] + 1)
    assert.equal(line.dials.length, dials + 1, 'dialled once')
    await app.hears(heard + 1)
    return this.readArrival(client, { dial: dials, request: heard })
  }

  /** Checks a request of the App that tells of a dial. */
  readArrival(client, { dial, request }) {
    const operationID = this.line.dials[dial].says('operationID')
    return readOnline(this.app.requests[request], { userID: client.userID, operationID })
  }

  /** Calls the REST API; anything but success is a failure of the test. */
  async rest(path, body, { token, operationID = `e2e-${randomUUID()}` } = {}) {
    const headers = { 'content-type': 'application/json', operationID, ...(token && { token }) }
    const request = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await fetch(`${this.api}${path}`, request)
    const envelope = await response.json()
    assert.equal(response.status, 200, path)
    assert.equal(envelope.errCode, 0, `${path}: ${JSON.stringify(envelope)}`)
    return envelope.data
  }

  /** Registers a user and gets their token, as the backend of an App does. */
  async registeredToken(userID = this.userID, platformID = this.platformID) {
    const admin = await this.#admin()
    const { results } = await this.rest('/user/account_check', { checkUserIDs: [userID] }, admin)
    const users = [{ userID, nickname: 'Ann', faceURL: '' }]
    if (!results[0].accountStatus) await this.rest('/user/user_register', { users }, admin)
    return (await this.rest('/auth/get_user_token', { userID, platformID }, admin)).token
  }

  /** Sends the user away, as an administrator does. */
  async forceLogout() {
    const { userID, platformID } = this
    await this.rest('/auth/force_logout', { userID, platformID }, await this.#admin())
  }

  /** A token that Herald did not make: see `mint`. */
  mintedToken(claims) {
    const { userID, platformID } = this
    return mint({ secret: this.#secret, userID, platformID, ...claims })
  }

  /** The connections by which the user is online, as Herald tells administrators. */
  async connections(userID = this.userID) {
    const asked = { userIDs: [userID] }
    const [user] = await this.rest('/user/get_users_online_status', asked, await this.#admin())
    return user.detailPlatformStatus ?? []
  }

  /** Only their connIDs. */
  async connIDs() {
    return (await this.connections()).map((detail) => detail.connID)
  }

  /** What was seen here, line by line, for whom a failed test puzzles. */
  story() {
    const dials = this.line.dials.map((dial) => `${dial.says('operationID')} open: ${dial.open}`)
    return [
      ...['The App heard:', ...this.app.requests.map(String)],
      ...['The SDK dialled:', ...dials],
      ...['The SDK raised:', ...this.#clients.flatMap((client) => client.story())],
      ...['Herald said:', ...this.herald.log],
    ]
  }

  async clear() {
    await Promise.all(this.#clients.map((client) => client.stop()))
    this.line?.close()
    await this.herald?.stop()
    this.app?.stop()
  }

  async #admin() {
    const asked = { secret: this.#secret, userID: ADMIN }
    return { token: (await this.rest('/auth/get_admin_token', asked)).token }
  }
}
