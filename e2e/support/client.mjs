// One user's client: the OpenIM JS SDK as it comes, and a list of the events it raised.

import { CbEvents, LogLevel, getSDK } from '@openim/client-sdk'
import { WebSocket } from 'ws'

import { eventually } from './waiting.mjs'

// Node has a WebSocket of its own from 22 on. The SDK reads binary messages with `.arrayBuffer()`
// or as an ArrayBuffer; those of `ws` are neither unless told.
globalThis.WebSocket ??= class extends WebSocket {
  constructor(url) {
    super(url)
    this.binaryType = 'arraybuffer'
  }
}

// The SDK never ends the timers of its caches; they are not to keep this process alive.
const { setInterval } = globalThis
globalThis.setInterval = (...given) => setInterval(...given).unref()

export class Client {
  /** Every event so far: `{ event, errCode, errMsg }` and more. */
  events = []
  #sdk = getSDK()
  #who

  constructor({ userID, platformID, wsAddr, apiAddr }) {
    this.#who = { userID, platformID, wsAddr, apiAddr, logLevel: LogLevel.Silent }
    for (const event of Object.values(CbEvents)) {
      this.#sdk.on(event, (raised) => this.events.push(raised))
    }
  }

  login(token) {
    return this.#sdk.login({ ...this.#who, token })
  }

  logout() {
    return this.#sdk.logout()
  }

  /** Waits for an event, and returns the first. */
  async sees(event, count = 1) {
    await eventually(`the SDK raises ${event} ${count} times`, () => this.count(event) >= count)
    return this.events.find((raised) => raised.event === event)
  }

  count(event) {
    return this.events.filter((raised) => raised.event === event).length
  }

  /** Makes sure that the SDK does not dial any more: some states refuse a logout. */
  async stop() {
    this.#sdk.wsManager?.close()
    await this.#sdk.logout().catch(() => {})
  }
}
