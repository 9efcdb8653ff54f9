// Every scenario with every set-up that can play it: what real OpenIM clients see of Herald, and
// what the App is told.
//
// Each scenario has a herald, an App, a line and clients of its own, and many run side by side. A
// deadline says when to give up, never when something must have happened; the waits that are left
// watch for what must not happen.

import { after, describe, test } from 'node:test'

import { comings } from './scenarios/comings.mjs'
import { kicks } from './scenarios/kicks.mjs'
import { refusals } from './scenarios/refusals.mjs'
import { statuses } from './scenarios/statuses.mjs'
import { watching } from './scenarios/watching.mjs'
import { closeBrowser } from './support/chromium.mjs'
import { SETUPS } from './support/setups.mjs'
import { Stage } from './support/stage.mjs'
import { REAL_TIME } from './support/waiting.mjs'

/** More than the sum of what a scenario may wait for. */
const SCENARIO_TIMEOUT_MS = 180_000
const SCENARIOS = [...comings, ...kicks, ...refusals, ...watching, ...statuses]

describe('with real SDKs', { concurrency: true }, () => {
  const tallies = SETUPS.map((setup) => ({ setup, possible: 0, passed: 0 }))
  for (const tally of tallies) {
    const { name, is, sdk, atOnce } = tally.setup
    describe(`${name}: ${is}`, { concurrency: atOnce }, () => {
      const now = SCENARIOS.filter(({ realTime }) => REAL_TIME || !realTime)
      const possible = now.filter(({ needs }) => needs?.(sdk) ?? true)
      tally.possible = possible.length
      for (const scenario of possible) perform(scenario, tally)
    })
  }
  after(async () => {
    await closeBrowser()
    for (const { setup, possible, passed } of tallies) {
      console.log(`${setup.name}: ${passed} of ${possible} scenarios passed`)
    }
  })
})

/** One test on a stage of its own; if it fails, what was seen on that stage is printed. */
function perform({ name, play, ...options }, tally) {
  const { setup } = tally
  test(`${setup.name}: ${name}`, { timeout: SCENARIO_TIMEOUT_MS }, async (context) => {
    const stage = await Stage.build(setup, options)
    try {
      await play(stage)
      tally.passed += 1
    } catch (error) {
      stage.story().forEach((line) => context.diagnostic(line))
      throw error
    } finally {
      await stage.clear()
    }
  })
}
