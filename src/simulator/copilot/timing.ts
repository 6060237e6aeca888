import type { CopilotTurnBehaviour } from './behaviour.ts'

/** Where in a turn. */
export type Moment = NonNullable<CopilotTurnBehaviour['endAt']>

/** When a turn ends, also where the behaviour leaves it open. */
export function endingMoment(how: CopilotTurnBehaviour, failed: boolean): Moment {
  if (how.endAt !== undefined) return how.endAt
  if (failed) return 'start'
  return how.end === 'done' || how.end === 'no-done' ? 'after-text' : 'before-text'
}

/** The text in pieces, cut between code points unless told otherwise. */
export function pieces(text: string, how: CopilotTurnBehaviour, atLeastTwo: boolean): string[] {
  const points = how.halfCharacters ? text.split('') : Array.from(text)
  const wanted = how.charsPerUpdate > 0 ? Math.floor(how.charsPerUpdate) : points.length
  const half = Math.ceil(points.length / 2)
  const step = Math.max(1, atLeastTwo ? Math.min(wanted, half) : wanted)
  const found: string[] = []
  for (let at = 0; at < points.length; at += step) found.push(points.slice(at, at + step).join(''))
  return found
}
