// An App that notes down every request as it came and answers that all is well, unless told to say
// something else. It judges nothing: that is for contract.mjs.

import { createServer } from 'node:http'

import { ANSWER, CALLBACK_PATH } from './contract.mjs'
import { eventually, listening } from './waiting.mjs'

export class App {
  /** All requests so far, in the order in which they came. */
  requests = []
  answer = ANSWER

  static async start() {
    const app = new App()
    app.server = createServer((request, response) => app.#note(request, response))
    app.url = `http://${await listening(app.server)}${CALLBACK_PATH}`
    return app
  }

  /** Waits until that many requests came, and returns all there are. */
  async hears(count) {
    await eventually(`the App hears of ${count}`, () => this.requests.length >= count)
    return this.requests
  }

  stop() {
    this.server.close()
    this.server.closeAllConnections()
  }

  #note(request, response) {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      this.requests.push(new Request(request, Buffer.concat(chunks)))
      response.setHeader('content-type', 'application/json')
      response.end(this.answer)
    })
  }
}

class Request {
  #headers

  constructor(request, body) {
    this.method = request.method
    this.target = request.url
    this.body = body
    this.heardAt = performance.now()
    this.#headers = request.rawHeaders
  }

  /** All values of a header; its name is taken in any case. */
  header(name) {
    const names = this.#headers.map((text) => text.toLowerCase())
    return this.#headers.filter((_, at) => at % 2 === 1 && names[at - 1] === name.toLowerCase())
  }

  toString() {
    return `${this.method} ${this.target} [${this.header('operationID')}] ${this.body}`
  }
}
