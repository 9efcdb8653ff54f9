// The server under test, as an operator starts it: a binary, a file and a folder.

import { spawn } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { platform, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

import { eventually } from './waiting.mjs'

/** What it is given to stop in, before it is killed. */
const STOP_TIMEOUT_MS = 10_000

/** More than all scenarios take side by side. */
const WATCHDOG_MS = 420_000

/** Whatever happens to this process, no herald outlives it. */
const running = new Set()
process.on('exit', () => running.forEach((herald) => herald.kill()))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
setTimeout(() => {
  console.error(`still running after ${WATCHDOG_MS} ms: giving up`)
  process.exit(1)
}, WATCHDOG_MS).unref()

export class Herald {
  /** The lines of its log. */
  log = []

  /** `settings` are keys of the configuration with their values. */
  static async start(settings) {
    const herald = new Herald()
    herald.program = binary()
    herald.folder = mkdtempSync(join(tmpdir(), 'herald-e2e-'))
    herald.settings = { ...settings, ...places(), 'store.path': join(herald.folder, 'data') }
    try {
      await herald.#run()
    } catch (error) {
      await herald.stop()
      throw error
    }
    return herald
  }

  /** As when its machine fails: killed, and started again where it was. */
  async crash() {
    this.child.kill('SIGKILL')
    await this.ended
    this.exit = undefined
    const here = { 'gateway.listen': this.gateway, 'api.listen': this.api }
    this.settings = { ...this.settings, ...here }
    await this.#run()
  }

  async stop() {
    this.child.kill('SIGTERM')
    const kill = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.ended
    clearTimeout(kill)
    this.#remove()
  }

  /** At once, for when there is no time left. */
  kill() {
    this.child.kill('SIGKILL')
    this.#remove()
  }

  #remove() {
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #run() {
    const file = join(this.folder, 'herald.toml')
    writeFileSync(file, config(this.settings))
    const before = this.log.length
    this.#spawn(file)
    const { gateway, api } = await eventually('herald is ready', () => this.#ready(before))
    Object.assign(this, { gateway, api })
  }

  #spawn(file) {
    // An empty environment: its HERALD_… variables would win over the file.
    const options = { cwd: this.folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] }
    this.child = spawn(this.program, ['serve', '--config', file], options)
    running.add(this)
    createInterface({ input: this.child.stderr }).on('line', (line) => this.log.push(line))
    this.ended = new Promise((ended) => {
      const end = (how) => {
        running.delete(this)
        this.exit ??= `${this.program} ended: ${how}`
        ended()
      }
      this.child.on('error', end)
      this.child.on('close', (code, signal) => end(code ?? signal))
    })
  }

  #ready(since) {
    if (this.exit) throw new Error([this.exit, ...this.log].join('\n'))
    const line = this.log.slice(since).find((line) => line.includes('herald is ready'))
    return line && JSON.parse(line)
  }
}

/**
 * Any port of an address that nothing else uses, so that it can be had again after a crash: Linux answers
 * at all of 127.0.0.0/8 and begins connections at 127.0.0.1.
 */
function places() {
  const host = platform() === 'linux' ? `127.${[254, 255, 254].map(drawn).join('.')}` : '127.0.0.1'
  return Object.fromEntries(['gateway', 'api', 'admin'].map((key) => [`${key}.listen`, `${host}:0`]))
}

function drawn(below) {
  return 1 + Math.floor(Math.random() * below)
}

const SETTINGS = {
  'log.format': 'json',
  'log.level': 'info,server=debug',
}

function config(settings) {
  const lines = Object.entries({ ...SETTINGS, ...settings })
  return lines.map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('')
}

function binary() {
  const said = process.env.HERALD_BIN
  if (!said) throw new Error('HERALD_BIN is not set: it names the herald binary to test')
  const path = resolve(said)
  try {
    accessSync(path, constants.X_OK)
  } catch {
    throw new Error(`HERALD_BIN names no program: ${path}`)
  }
  return path
}
