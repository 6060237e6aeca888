import type { Frame } from '../frame.ts'

/** How many questions came lately and how many turns run; judges them by `copilot.pace`. */
export interface Pace {
  /** A question has arrived. One that is too many is a violation, answered all the same. */
  asked(): void
  /** A turn begins to run; call the result when it ends. */
  began(): () => void
  /** Whether a start or upgrade is to be answered 502. Records the violation. */
  exceededAt(place: 'start' | 'upgrade'): boolean
}

export function createPace(frame: Frame): Pace {
  let times: number[] = []
  let running = 0
  let peak = 0
  frame.count('copilot.pace.exceeded', 0)
  frame.gauge('copilot.turns', () => running)
  frame.gauge('copilot.turns.peak', () => peak)
  frame.onReset(() => {
    times = []
    peak = running
  })

  function exceeds(place: 'send' | 'start' | 'upgrade'): boolean {
    const { turns, windowMs, parallel, refuses } = frame.take('copilot.pace')
    if (place !== 'send' && refuses !== 'both' && refuses !== place) return false
    if (turns <= 0 && parallel <= 0) return false
    const since = performance.now() - windowMs
    const lately = times.filter((at) => at > since).length
    const tooMany = turns > 0 && lately >= turns
    const tooBusy = parallel > 0 && running >= parallel
    if (!tooMany && !tooBusy) return false
    frame.count('copilot.pace.exceeded')
    frame.violate(
      'copilot',
      'pace',
      `${place}: ${lately} questions within ${windowMs} ms, ${running} running.`
    )
    return true
  }

  return {
    asked() {
      exceeds('send')
      times.push(performance.now())
      if (times.length > 10_000) times = times.slice(-5000)
    },
    began() {
      running++
      peak = Math.max(peak, running)
      let ended = false
      return () => {
        if (!ended) running--
        ended = true
      }
    },
    exceededAt: exceeds
  }
}
