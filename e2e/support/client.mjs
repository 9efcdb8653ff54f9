// One user's client: an SDK as it comes, wherever it runs, and a list of the events it raised.

import { eventually } from './waiting.mjs'

export class Client {
  /** Every event so far: `{ event, data, errCode, errMsg }` and more. */
  events = []
  #home
  #who

  static async open(setup, { userID, platformID, wsAddr, apiAddr }) {
    const client = new Client()
    client.userID = userID
    client.#who = { userID, platformID, wsAddr, apiAddr, logLevel: setup.sdk.logLevel }
    client.#home = await setup.home((raised) => client.events.push(raised))
    return client
  }

  login(token) {
    return this.#home.call('login', { ...this.#who, token })
  }

  logout() {
    return this.#home.call('logout')
  }

  /** Watches those users, and returns how they are: `{ userID, status, platformIDs }`. */
  async watch(...userIDs) {
    return (await this.#home.call('subscribeUsersStatus', userIDs)).data
  }

  unwatch(...userIDs) {
    return this.#home.call('unsubscribeUsersStatus', userIDs)
  }

  /** How those who are watched are, by the SDK's own book. */
  async watched() {
    return (await this.#home.call('getSubscribeUsersStatus')).data
  }

  setBackground(isBackground) {
    return this.#home.call('setAppBackgroundStatus', isBackground)
  }

  /** Waits until an event came that often, and returns the last of them. */
  async sees(event, count = 1) {
    const seen = () => this.events.filter((raised) => raised.event === event)
    await eventually(`the SDK raises ${event} ${count} times`, () => seen().length >= count)
    return seen()[count - 1]
  }

  /** Waits until it is told that a user is so, and returns what it was told. */
  async seesStatus(userID, status) {
    const told = () =>
      this.events.find(({ event, data }) => {
        return event === 'OnUserStatusChanged' && data.userID === userID && data.status === status
      })
    return (await eventually(`the SDK says that ${userID} is ${status}`, told)).data
  }

  count(event) {
    return this.events.filter((raised) => raised.event === event).length
  }

  /** What it asked for over REST, where that can be seen. */
  requestsTo(address) {
    return this.#home.requests.filter(({ url }) => url.startsWith(address))
  }

  story() {
    const events = this.events.map(({ event, errCode, data }) => {
      return `${this.userID}: ${event} ${errCode} ${JSON.stringify(data ?? '').slice(0, 120)}`
    })
    return [...events, ...this.#home.said.map((text) => `${this.userID}'s page: ${text}`)]
  }

  stop() {
    return this.#home.close()
  }
}
