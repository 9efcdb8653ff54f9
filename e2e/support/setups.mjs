// The three set-ups: which SDK, where it runs, and what it does in a way of its own. A scenario
// asks for these traits, never for a set-up by name.

import { InChromium } from './chromium.mjs'
import { InNode } from './node.mjs'

const JS = {
  logLevel: 5,
  /** What it raises before the event that says why it was refused. */
  refusedFirst: ['OnConnectFailed'],
  /** The code of a refusal, where an event has it. */
  codeOf: ({ errCode }) => errCode,
  /** A logout is a request of its own, and not just the end of the line. */
  saysGoodbye: false,
  /** What getSubscribeUsersStatus knows, and whether unsubscribeUsersStatus asks the server. */
  keepsWatched: true,
  /** It watches the same users again when its line is back. */
  watchesAgain: true,
  /** Whether it has setAppBackgroundStatus. */
  tellsBackground: false,
}

const WASM = {
  logLevel: 1,
  refusedFirst: [],
  codeOf: ({ data }) => data && Number(/^Error: (\d+) /.exec(data)[1]),
  saysGoodbye: true,
  keepsWatched: false,
  watchesAgain: false,
  tellsBackground: true,
}

export const SETUPS = [
  {
    name: 'js-node',
    is: 'the JS SDK in Node',
    sdk: JS,
    home: (raised) => InNode.open(raised),
    /** Whether a browser asks Herald for leave before it lets the SDK read what Herald says. */
    needsLeave: false,
    /** How many scenarios are played side by side. */
    atOnce: 6,
  },
  {
    name: 'js-chromium',
    is: 'the JS SDK in Chromium',
    sdk: JS,
    home: (raised) => InChromium.open('js', raised),
    needsLeave: true,
    atOnce: 4,
  },
  {
    name: 'wasm-chromium',
    is: 'the wasm SDK in Chromium',
    sdk: WASM,
    home: (raised) => InChromium.open('wasm', raised),
    needsLeave: true,
    // Each page compiles 35 MB of wasm, and the SDK gives up if its database is not open in time.
    atOnce: 2,
  },
]
