/** Who follows a signal. One listener serves them all: the signals that many follow are those of the whole service. */
const followersOf = new WeakMap<AbortSignal, Set<AbortController>>()

/**
 * Aborts `controller` with the reason of the first of `signals` that aborts. For signals that outlive those who follow
 * them: `AbortSignal.any` keeps 2 KB for each of its results as long as its sources live (Node 20).
 * @returns how to end it; to be called once the controller is of no more use
 */
export function followSignals(controller: AbortController, signals: readonly AbortSignal[]): () => void {
  const aborted = signals.find((signal) => signal.aborted)
  if (aborted !== undefined) {
    controller.abort(aborted.reason)
    return () => {}
  }
  const joined = signals.map(followers)
  for (const all of joined) all.add(controller)
  return () => {
    for (const all of joined) all.delete(controller)
  }
}

function followers(signal: AbortSignal): Set<AbortController> {
  const known = followersOf.get(signal)
  if (known !== undefined) return known
  const all = new Set<AbortController>()
  followersOf.set(signal, all)
  const onAbort = () => {
    for (const controller of all) controller.abort(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  return all
}
