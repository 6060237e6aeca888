interface Followers {
  controllers: Set<AbortController>
  /** Takes the listener off again. */
  leave(): void
}

/** Who follows a signal. One listener serves them all: the signals that many follow are those of the whole service. */
const followersOf = new WeakMap<AbortSignal, Followers>()

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
  for (const { controllers } of joined) controllers.add(controller)
  return () => {
    for (const { controllers, leave } of joined)
      if (controllers.delete(controller) && controllers.size === 0) leave()
  }
}

function followers(signal: AbortSignal): Followers {
  const known = followersOf.get(signal)
  if (known !== undefined) return known
  const controllers = new Set<AbortController>()
  const onAbort = () => {
    for (const controller of controllers) controller.abort(signal.reason)
  }
  const leave = () => {
    signal.removeEventListener('abort', onAbort)
    followersOf.delete(signal)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  const followers = { controllers, leave }
  followersOf.set(signal, followers)
  return followers
}
