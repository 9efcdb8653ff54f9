// The line between clients and the gateway: it can be cut, and it knows who dialled. It changes
// nothing of what it carries.

import { connect, createServer } from 'node:net'

import { eventually, listening } from './waiting.mjs'

export class Line {
  /** Every connection that a client made, in order. */
  dials = []

  static async to(gateway) {
    const line = new Line()
    line.server = createServer((client) => line.dials.push(new Dial(client, gateway)))
    line.url = `ws://${await listening(line.server)}`
    return line
  }

  /** Both ends lose the connection, without a word of farewell. */
  cut() {
    for (const dial of this.dials) dial.cut()
  }

  close() {
    this.server.close()
    this.cut()
  }
}

class Dial {
  /** As the gateway sees it. */
  open = true
  #query = new URLSearchParams()
  #client
  #gateway
  #halfOpen = false

  constructor(client, gateway) {
    const [host, port] = gateway.split(':')
    this.#client = client
    this.#gateway = connect(Number(port), host)
    this.#readRequest()
    client.pipe(this.#gateway)
    this.#gateway.pipe(client)
    client.on('error', () => {}).on('close', () => {
      if (!this.#halfOpen) this.#gateway.destroySoon()
    })
    this.#gateway.on('error', () => {}).on('close', () => {
      this.open = false
      client.destroySoon()
    })
  }

  /** A parameter of the handshake. */
  says(name) {
    return this.#query.get(name)
  }

  /** Waits until the gateway has given it up. */
  ends() {
    return eventually('the gateway ends the connection', () => !this.open)
  }

  cut() {
    this.#client.destroy()
    this.#gateway.destroy()
  }

  /** Only the client loses it. The gateway hears nothing more, not even that, until it gives up. */
  leaveHalfOpen() {
    this.#halfOpen = true
    this.#client.unpipe(this.#gateway)
    this.#gateway.unpipe(this.#client)
    this.#gateway.resume()
    this.#client.destroy()
  }

  #readRequest() {
    let text = ''
    const read = (chunk) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n')) return
      this.#client.off('data', read)
      this.#query = new URL(text.split(' ')[1], 'ws://line').searchParams
    }
    this.#client.on('data', read)
  }
}
