import { randomBytes } from 'node:crypto'
import type { ErrorText, Marker, WaitBehaviour } from './behaviour.ts'
import { hashText, logNormal, nameLetters, seededRandom } from './random.ts'

export type Model = 'dalle' | 'gpt4o' | 'maiimage1'
export type Aspect = 'square' | 'landscape' | 'portrait'

/** What a served landing page handed out. */
export interface Session {
  ig: string
  /** Undefined when the page was served without one. */
  salt?: string
  /** Counts pages and jobs alike, so that before and after can be told. */
  serial: number
}

/** An accepted submit. */
export interface Job {
  id: string
  kind: 'image' | 'video'
  prompt: string
  model: Model
  aspect: Aspect
  /** In the standard queue because no fast creation was left. */
  slow: boolean
  /** Set when a word of the prompt makes it fail while it is being drawn. */
  rejected: boolean
  submittedAt: number
  serial: number
  polls: number
  /** A poll has shown the end of it. */
  done: boolean
  /** Names under `/th/id/`, by number of variant; given out on first use. */
  media: string[]
}

/** A picture or film that can be fetched. */
export interface Medium {
  job: Job
  variant: number
}

/** Everything the simulated account remembers: pages served, jobs, their pictures, fast creations. */
export interface Account {
  /** A landing page was served. */
  openSession(withIg: boolean, withSalt: boolean): Session
  session(ig: string): Session | undefined
  /** A page without an IG was served, so that requests without one are in order. */
  servedWithoutIg: boolean
  /** A GET with all creation parameters used up the next video attempt; docs/protocol/video.md section 1. */
  attemptConsumed: boolean
  /** Ids of other people that a page showed; no client may use them. */
  addForeignId(id: string): void
  isForeignId(id: string): boolean
  addJob(job: Pick<Job, 'kind' | 'prompt' | 'model' | 'aspect' | 'slow' | 'rejected'>): Job
  job(id: string): Job | undefined
  /** Jobs of a kind that no poll has shown the end of. */
  unfinished(kind: Job['kind']): number
  /** The name under `/th/id/` of one of a job's results. */
  mediaName(job: Job, variant: number): string
  medium(name: string): Medium | undefined
  /** Applies a `fastLeft` setting if it is not the one applied last, and says what is left. */
  fastLeft(setting: number): number
  useFast(): void
  /** Full stock, no unfinished jobs; jobs, sessions and pictures stay known. */
  reset(): void
}

const FULL_STOCK = 15
/** Enough for any test or bench; a simulator that runs for days forgets the oldest. */
const REMEMBERED = 50_000

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value)
  const oldest = map.keys().next()
  if (map.size > REMEMBERED && !oldest.done) map.delete(oldest.value)
}

/** Hexadecimal digits that are different every time. */
export const freshHex = (digits: number): string => randomBytes(digits / 2).toString('hex')

/** An account with a full stock of fast creations and no history. */
export function createAccount(): Account {
  const sessions = new Map<string, Session>()
  const jobs = new Map<string, Job>()
  const media = new Map<string, Medium>()
  const foreign = new Map<string, true>()
  let serial = 0
  let stock = FULL_STOCK
  let applied = -1

  return {
    servedWithoutIg: false,
    attemptConsumed: false,
    addForeignId: (id) => remember(foreign, id, true),
    isForeignId: (id) => foreign.has(id),
    openSession(withIg, withSalt) {
      const session: Session = {
        ig: freshHex(32).toUpperCase(),
        salt: withSalt ? nameLetters(seededRandom(randomBytes(4).readUInt32LE()), 43) : undefined,
        serial: ++serial
      }
      if (withIg) remember(sessions, session.ig, session)
      else this.servedWithoutIg = true
      return session
    },
    session: (ig) => sessions.get(ig),
    addJob(fields) {
      const id = `${fields.kind === 'video' ? 4 : 1}-${freshHex(32)}`
      const job: Job = {
        ...fields,
        id,
        submittedAt: Date.now(),
        serial: ++serial,
        polls: 0,
        done: false,
        media: []
      }
      remember(jobs, id, job)
      return job
    },
    job: (id) => jobs.get(id),
    unfinished: (kind) => [...jobs.values()].filter((job) => job.kind === kind && !job.done).length,
    mediaName(job, variant) {
      const random = seededRandom(hashText(`${job.id}/${variant}`))
      const prefix =
        job.kind === 'video' ? 'OVID' : { dalle: 'OIG1', gpt4o: 'OIG3', maiimage1: 'OIG2' }[job.model]
      const name = (job.media[variant] ??= `${prefix}.${nameLetters(random, 24)}`)
      remember(media, name, { job, variant })
      return name
    },
    medium: (name) => media.get(name),
    fastLeft(setting) {
      if (setting >= 0 && setting !== applied) {
        applied = setting
        stock = setting
      }
      return stock
    },
    useFast() {
      stock = Math.max(0, stock - 1)
    },
    reset() {
      stock = FULL_STOCK
      applied = -1
      this.attemptConsumed = false
      this.servedWithoutIg = false
      for (const job of jobs.values()) job.done = true
    }
  }
}

/** Whether one of the words occurs in the prompt, as a whole word of any case. */
export function hasWord(prompt: string, words: readonly string[]): boolean {
  const found = new Set(prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])
  return words.some((word) => found.has(word.toLowerCase()))
}

/** What a poll finds. `turn` counts the pending answers from 0. */
export type Finding =
  | { kind: 'pending'; turn: number }
  | { kind: 'refused'; marker: Marker; text: ErrorText }
  | { kind: 'failed'; errorMessage: string }
  | { kind: 'ready' }

/** Milliseconds until a job of this prompt can be ready, fast. */
export function readyAfter(
  prompt: string,
  { readyAfterMs, readySpread }: Pick<WaitBehaviour, 'readyAfterMs' | 'readySpread'>
): number {
  if (readySpread === 0) return readyAfterMs
  return logNormal(seededRandom(hashText(prompt)), readyAfterMs, readySpread)
}

/** One poll of a job: counts it, and says what it finds. */
export function pollJob(
  job: Job,
  wait: WaitBehaviour,
  session: Session | undefined,
  now = Date.now()
): Finding {
  if (wait.marker !== 'none' || wait.text !== 'none') {
    job.done = true
    return { kind: 'refused', marker: wait.marker, text: wait.text }
  }
  const turn = job.polls++
  const earliest = job.submittedAt + readyAfter(job.prompt, wait) + (job.slow ? wait.slowMs : 0)
  const stale = wait.onlyNewSession && (session?.serial ?? 0) < job.serial
  if (wait.neverReady || stale || turn < wait.pendingPolls || now < earliest) return { kind: 'pending', turn }
  job.done = true
  if (job.rejected) return { kind: 'refused', marker: 'girer-icon', text: 'none' }
  if (wait.errorMessage !== '') return { kind: 'failed', errorMessage: wait.errorMessage }
  return { kind: 'ready' }
}
