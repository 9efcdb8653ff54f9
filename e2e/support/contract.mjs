// The contract of the callbacks, byte for byte, from the side of the App.

import assert from 'node:assert/strict'

/** Where the App wants its callbacks. */
export const CALLBACK_PATH = '/callback'
/** What an App answers when all is well. */
export const ANSWER = '{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}'

/** A seq is the time in milliseconds, unless two fall together. */
const SEQ_SPAN_MS = 60_000

/** Checks every part of a request that tells a login, and returns what differs between them. */
export function readOnline(request, { userID, operationID }) {
  const command = 'callbackUserOnlineCommand'
  assert.deepEqual(request.header('operationID'), [operationID])
  return read(request, command, ({ seq, connID }) => {
    const three = `"userID":"${userID}","callbackCommand":"${command}","seq":${seq}`
    return `{${three},"isAppBackground":false,"connID":"${connID}"}`
  })
}

/** The same for a departure, which is an operation of Herald's own making. */
export function readOffline(request, { userID }) {
  const command = 'callbackUserOfflineCommand'
  assert.equal(request.header('operationID').length, 1)
  assert.match(request.header('operationID')[0], /^[!-~]{1,128}$/)
  return read(request, command, ({ seq, connID }) => {
    return `{"userID":"${userID}","callbackCommand":"${command}","seq":${seq},"connID":"${connID}"}`
  })
}

function read(request, command, written) {
  assert.equal(request.method, 'POST')
  assert.equal(request.target, `${CALLBACK_PATH}?command=${command}&contenttype=json`)
  assert.deepEqual(request.header('Content-Type'), ['application/json'])
  const { seq, connID } = JSON.parse(request.body)
  // As latin1 each byte is a character, and a difference can be read.
  assert.equal(request.body.toString('latin1'), written({ seq, connID }))
  assert.ok(Number.isSafeInteger(seq), `seq ${seq} is an integer`)
  assert.ok(Math.abs(Date.now() - seq) < SEQ_SPAN_MS, `seq ${seq} is a time of now`)
  assert.match(connID, /^[!-~]+$/)
  return { seq, connID }
}
