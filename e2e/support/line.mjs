// The line between a client and the gateway: it can be cut, and it knows who dialled. It changes
// nothing of what it carries.

import { connect, createServer } from 'node:net'

import { listening } from './waiting.mjs'

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
  open = true
  #query = new URLSearchParams()
  #ends

  constructor(client, gateway) {
    const [host, port] = gateway.split(':')
    const server = connect(Number(port), host)
    this.#ends = [client, server]
    this.#readRequest(client)
    client.pipe(server)
    server.pipe(client)
    for (const [end, other] of [[client, server], [server, client]]) {
      end.on('error', () => {})
      end.on('close', () => {
        this.open = false
        other.destroySoon()
      })
    }
  }

  /** A parameter of the handshake. */
  says(name) {
    return this.#query.get(name)
  }

  cut() {
    for (const end of this.#ends) end.destroy()
  }

  #readRequest(client) {
    let text = ''
    const read = (chunk) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n')) return
      client.off('data', read)
      this.#query = new URL(text.split(' ')[1], 'ws://line').searchParams
    }
    client.on('data', read)
  }
}
