import type { PollSample } from './poll-plan.ts'

/** When to look at a creation next. */
export interface PollSchedule {
  /** Milliseconds to wait before the next look, a whole number. */
  nextDelay(job: PollFacts): number
  /** Whether a result can't be expected yet: at most an early refusal. */
  isTooEarly(job: PollFacts): boolean
  /** Takes note of how long a creation took. */
  learn(job: PollVariant, sample: PollSample): void
}

export interface PollVariant {
  kind: 'image' | 'video'
  /** Model of an image, speed of a video. */
  variant: string
}

export interface PollFacts extends PollVariant {
  /** Time since the upstream accepted it, in milliseconds. */
  ageMs: number
  /** Time that the look took which has just ended. */
  lookMs?: number
}

const DEFAULT_MS = 5000
const GPT4O_MS = 3000
/** A standard video takes hours: looking every five seconds all that time would be thousands of useless requests. */
const VIDEO_LONGEST_MS = 60_000
const VIDEO_STRETCH = 0.05

/**
 * The seeds' intervals: 5 s, and 3 s for GPT-4o (docs/protocol/images.md section 3). Videos stretch to a minute with age
 * (docs/protocol/video.md section 3). Looks at once, too.
 * @param fixedMs one interval for everything, when an operator sets it
 */
export function createFixedSchedule(fixedMs?: number): PollSchedule {
  return {
    nextDelay({ kind, variant, ageMs }) {
      if (fixedMs !== undefined) return fixedMs
      if (kind === 'video')
        return Math.round(Math.min(VIDEO_LONGEST_MS, Math.max(DEFAULT_MS, ageMs * VIDEO_STRETCH)))
      return variant === 'GPT4O' ? GPT4O_MS : DEFAULT_MS
    },
    isTooEarly: () => false,
    learn() {}
  }
}
