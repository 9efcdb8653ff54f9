// All that a scenario needs: an App, a herald that tells it, a line to the herald, and a client.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

import { App } from './app.mjs'
import { Client } from './client.mjs'
import { Herald } from './herald.mjs'
import { Line } from './line.mjs'

const ADMIN = 'imAdmin'

export class Stage {
  userID = 'user123'
  platformID = 5
  #secret = randomUUID()

  static async build({ graceMs = 2_000 }) {
    const stage = new Stage()
    stage.graceMs = graceMs
    try {
      stage.app = await App.start()
      const callbackUrl = stage.app.url
      stage.herald = await Herald.start({ secret: stage.#secret, callbackUrl, graceMs })
      stage.line = await Line.to(stage.herald.gateway)
    } catch (error) {
      await stage.clear()
      throw error
    }
    const { userID, platformID, line, herald } = stage
    const apiAddr = `http://${herald.api}`
    stage.client = new Client({ userID, platformID, wsAddr: line.url, apiAddr })
    return stage
  }

  /** Calls the REST API; anything but success is a failure of the test. */
  async rest(path, body, { token, operationID = `e2e-${randomUUID()}` } = {}) {
    const headers = { 'content-type': 'application/json', operationID, ...(token && { token }) }
    const request = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await fetch(`http://${this.herald.api}${path}`, request)
    const envelope = await response.json()
    assert.equal(response.status, 200, path)
    assert.equal(envelope.errCode, 0, `${path}: ${JSON.stringify(envelope)}`)
    return envelope.data
  }

  /** Registers a user and gets their token, as the backend of an App does. */
  async registeredToken(userID = this.userID) {
    const admin = await this.#admin()
    const users = [{ userID, nickname: 'Ann', faceURL: '' }]
    await this.rest('/user/user_register', { users }, admin)
    const asked = { userID, platformID: this.platformID }
    return (await this.rest('/auth/get_user_token', asked, admin)).token
  }

  /** The connIDs by which the user is online, as Herald tells administrators. */
  async connections() {
    const asked = { userIDs: [this.userID] }
    const [user] = await this.rest('/user/get_users_online_status', asked, await this.#admin())
    return (user.detailPlatformStatus ?? []).map((detail) => detail.connID)
  }

  /** What was seen here, line by line, for whom a failed test puzzles. */
  story() {
    const events = this.client.events.map(({ event, errCode }) => `${event} ${errCode}`)
    const dials = this.line.dials.map((dial) => `${dial.says('operationID')} open: ${dial.open}`)
    return [
      ...['The App heard:', ...this.app.requests.map(String)],
      ...['The SDK dialled:', ...dials],
      ...['The SDK raised:', ...events],
      ...['Herald said:', ...this.herald.log],
    ]
  }

  async clear() {
    await this.client?.stop()
    this.line?.close()
    await this.herald?.stop()
    this.app?.stop()
  }

  async #admin() {
    const asked = { secret: this.#secret, userID: ADMIN }
    return { token: (await this.rest('/auth/get_admin_token', asked)).token }
  }
}
