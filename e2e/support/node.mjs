// The JS SDK in this very process.

import { CbEvents, getSDK } from '@openim/client-sdk'
import { WebSocket } from 'ws'

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

export class InNode {
  /** Nobody sees them here. */
  requests = []
  said = []
  #sdk = getSDK()

  static async open(raised) {
    const home = new InNode()
    for (const event of Object.values(CbEvents)) home.#sdk.on(event, raised)
    return home
  }

  call(method, ...given) {
    return this.#sdk[method](...given)
  }

  /** Makes sure that the SDK does not dial any more: some states refuse a logout. */
  async close() {
    this.#sdk.wsManager?.close()
    await this.#sdk.logout().catch(() => {})
  }
}
