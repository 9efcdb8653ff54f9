// Shows an SDK to the test that drives this page: its methods by name, its events as they come.

/** `raised` is the test's. */
export function show(sdk, events) {
  for (const event of Object.values(events)) sdk.on(event, (seen) => globalThis.raised(seen))
  // A rejection is an answer as well: it has a code, and it must arrive as it is.
  globalThis.call = (method, given) =>
    Promise.resolve(sdk[method](...given)).then(
      (answer) => ({ answer }),
      (error) => ({ refused: error instanceof Error ? { errMsg: error.message } : error }),
    )
}
