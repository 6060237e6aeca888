/** When to look at a creation next. One implementation for now; a learning one can take its place without the job loop noticing. */
export interface PollSchedule {
  /** Milliseconds to wait before the next look. */
  nextDelay(job: PollFacts): number
}

export interface PollFacts {
  kind: 'image' | 'video'
  /** Model of an image, speed of a video. */
  variant: string
  /** Time since the upstream accepted it, in milliseconds. */
  ageMs: number
}

const DEFAULT_MS = 5000
const GPT4O_MS = 3000
/** A standard video takes hours: looking every five seconds all that time would be thousands of useless requests. */
const VIDEO_LONGEST_MS = 60_000
const VIDEO_STRETCH = 0.05

/**
 * The seeds' intervals: 5 s, and 3 s for GPT-4o (docs/protocol/images.md section 3). Videos stretch to a minute with age
 * (docs/protocol/video.md section 3).
 * @param fixedMs one interval for everything, when an operator sets it
 */
export function createFixedSchedule(fixedMs?: number): PollSchedule {
  return {
    nextDelay({ kind, variant, ageMs }) {
      if (fixedMs !== undefined) return fixedMs
      if (kind === 'video') return Math.min(VIDEO_LONGEST_MS, Math.max(DEFAULT_MS, ageMs * VIDEO_STRETCH))
      return variant === 'GPT4O' ? GPT4O_MS : DEFAULT_MS
    }
  }
}
