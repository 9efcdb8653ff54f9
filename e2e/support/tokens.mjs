// Tokens as an OpenIM server makes them: whoever has the secret can.

import { createHmac } from 'node:crypto'

const DAY_S = 86_400

/** Two of the same `iat`, a time in seconds, are the same token. */
export function mint({ secret, userID, platformID, iat = now() - 5, exp = now() + DAY_S }) {
  const claims = { UserID: userID, PlatformID: platformID, exp, iat }
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

export function now() {
  return Math.floor(Date.now() / 1000)
}

function part(object) {
  return Buffer.from(JSON.stringify(object)).toString('base64url')
}
