// Tokens that let nobody in. The right event is raised and the SDK rests: no storm of dials. The JS
// SDK would by itself dial every 5 s for ever, and with a good token the same client gets in.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { now } from '../support/tokens.mjs'
import { STORM_WATCHED_MS } from '../support/waiting.mjs'

const INVALID = 'OnUserTokenInvalid'
const EXPIRED = 'OnUserTokenExpired'
/** OpenIM's codes. */
const TOKEN_EXPIRED = 1501
const TOKEN_OF_ANOTHER = 1502
const TOKEN_MALFORMED = 1503
const TOKEN_UNKNOWN = 1505

export const refusals = [
  refusal('a token that is none', TOKEN_MALFORMED, INVALID, () => 'not.a.token'),
  refusal('an expired token', TOKEN_EXPIRED, EXPIRED, (stage) => {
    return stage.mintedToken({ iat: now() - 7_200, exp: now() - 3_600 })
  }),
  refusal('a token of a stranger', TOKEN_UNKNOWN, INVALID, (stage) => {
    return stage.mintedToken({ secret: randomUUID() })
  }),
  refusal('a token of another user', TOKEN_OF_ANOTHER, INVALID, (stage) => {
    return stage.registeredToken('somebody-else')
  }),
  refusal('a token of another platform', TOKEN_OF_ANOTHER, INVALID, (stage) => {
    return stage.registeredToken(stage.userID, 1)
  }),
]

function refusal(token, code, event, made) {
  return {
    name: `${token} is refused and not tried again`,
    async play(stage) {
      const { app, client, line, sdk } = stage
      await client.login(await made(stage))
      const expected = [...sdk.refusedFirst, event]
      for (const raised of expected) await client.sees(raised)
      await sleep(STORM_WATCHED_MS)
      const verdicts = client.events.filter((raised) => raised.event !== 'OnConnecting')
      assert.deepEqual(verdicts.map((raised) => raised.event), expected)
      const codes = verdicts.map(sdk.codeOf).filter((told) => told !== undefined)
      for (const told of codes) assert.equal(told, code)
      assert.equal(line.dials.length, 1, 'the SDK does not dial again')
      assert.equal(app.requests.length, 0, 'the App does not hear of it')
      await stage.arrives()
      assert.equal(app.requests.length, 1)
    },
  }
}
