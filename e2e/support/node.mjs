// The JS SDK in this very process.

import { CbEvents, getSDK } from '@openim/client-sdk'

import { REDIAL_HERE_MS, REDIAL_MS } from './waiting.mjs'

// The SDK never ends the timers of its caches; they are not to keep this process alive.
const { setInterval, setTimeout } = globalThis
globalThis.setInterval = (...given) => setInterval(...given).unref()
// Its wait before it dials again is the only timer of that length.
globalThis.setTimeout = (run, ms, ...given) => {
  return setTimeout(run, ms === REDIAL_MS ? REDIAL_HERE_MS : ms, ...given)
}

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
