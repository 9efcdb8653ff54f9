// The contract of the callbacks, byte for byte, from the side of the App.

import assert from 'node:assert/strict'

/** Where the App wants its callbacks. */
export const CALLBACK_PATH = '/callback'
/** What an App answers when all is well. */
export const ANSWER = '{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}'
/** What it answers to keep a user out. */
export const REFUSAL = '{"actionCode":0,"errCode":7,"errMsg":"no","errDlt":"","nextCode":"1"}'

/** A seq is the time in milliseconds, unless two fall together. */
const SEQ_SPAN_MS = 60_000

/** Checks every part of a request that tells a login, and returns what differs between them. */
export function readOnline(request, { userID, operationID, isAppBackground = false }) {
  const command = 'callbackUserOnlineCommand'
  assert.deepEqual(request.header('operationID'), [operationID])
  return read(request, command, ({ seq, connID }) => {
    const three = `"userID":"${userID}","callbackCommand":"${command}","seq":${seq}`
    return `{${three},"isAppBackground":${isAppBackground},"connID":"${connID}"}`
  })
}

/** The same for a departure, which is an operation of Herald's own making. */
export function readOffline(request, { userID }) {
  const command = 'callbackUserOfflineCommand'
  readOperation(request)
  return read(request, command, ({ seq, connID }) => {
    return `{"userID":"${userID}","callbackCommand":"${command}","seq":${seq},"connID":"${connID}"}`
  })
}

/** The same for a client that was made to leave. */
export function readKickOff(request, { userID }) {
  const command = 'callbackUserKickOffCommand'
  readOperation(request)
  return read(request, command, ({ seq }) => {
    return `{"userID":"${userID}","callbackCommand":"${command}","seq":${seq}}`
  })
}

/** The same for a client that went to the background or came back. */
export function readBackground(request, { userID, isAppBackground }) {
  const command = 'callbackUserBackgroundCommand'
  readOperation(request)
  return read(request, command, ({ seq, connID }) => {
    const three = `"userID":"${userID}","callbackCommand":"${command}","seq":${seq}`
    return `{${three},"isAppBackground":${isAppBackground},"connID":"${connID}"}`
  })
}

function readOperation(request) {
  assert.equal(request.header('operationID').length, 1)
  assert.match(request.header('operationID')[0], /^[!-~]{1,128}$/)
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
  if (connID !== undefined) assert.match(connID, /^[!-~]+$/)
  return { seq, connID }
}
