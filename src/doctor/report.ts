import { systemClock } from '../clock.ts'
import { deadline } from '../jobs/deadline.ts'
import type { Redact } from './redact.ts'
import type { WireAnswer } from './wire.ts'

/** What one step found. */
export interface Finding {
  ok: boolean
  /** What worked, or what went wrong and what the wire said. Never content, never a secret. */
  detail: string
  /** What a person should do. */
  hint?: string | undefined
  /** Row of docs/protocol/failures.md. */
  row?: string | undefined
  /** The last answer of the upstream in this step, by its shape. */
  wire?: WireAnswer | undefined
}

export interface Step extends Finding {
  name: string
  /** It was not tried: because of an earlier step (then `ok` is false), or because nobody asked for it. */
  skipped?: true
  /** How long it took, in milliseconds. */
  ms: number
}

export interface Report {
  /** Whether all steps hold. */
  ok: boolean
  steps: Step[]
}

/** The steps of one run, in order. */
export interface Steps {
  readonly all: readonly Step[]
  /**
   * Runs a step within its deadline. What it throws becomes its finding.
   * @param ms deadline of this step in milliseconds, in place of the usual one
   */
  run(name: string, work: (signal: AbortSignal) => Promise<Finding> | Finding, ms?: number): Promise<boolean>
  /**
   * Runs work that goes through several stages, each of which becomes a step. The work tells which stage it has reached
   * (and with it all before); what it returns is the finding of the last one, and what it throws that of the first one
   * not reached. Stages after that one are skipped.
   */
  stages<Name extends string>(
    names: readonly Name[],
    work: (signal: AbortSignal, reached: (name: Name, detail: string) => void) => Promise<Finding>,
    ms?: number
  ): Promise<boolean>
  /** @param because an earlier step failed, so that this one does not hold either; else it was not asked for */
  skip(name: string, detail: string, because: 'failed' | 'not-asked'): void
}

/** A step that was not over in time. */
export class StepTimeout extends Error {
  constructor(ms: number) {
    super(`no end within ${ms >= 1000 ? `${Math.round(ms / 1000)} s` : `${ms} ms`}`)
    this.name = 'StepTimeout'
  }
}

/** The person stopped the run, or its whole time is over. */
export class RunEnded extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'RunEnded'
  }
}

export interface StepsSettings {
  /** Deadline of each step, in milliseconds. */
  stepMs: number
  /** Ends the run: running steps fail with its reason, later ones are skipped. */
  signal: AbortSignal
  redact: Redact
  /** Makes a finding of what a step threw. */
  explain: (error: unknown) => Finding
  onStep?: ((step: Step) => void) | undefined
}

export function createSteps({ stepMs, signal, redact, explain, onStep }: StepsSettings): Steps {
  const all: Step[] = []

  function push(step: Step): void {
    // The last line of defence: no finding holds a secret, and if one did, it would be taken out here.
    const safe = redact(withoutUndefined(step))
    all.push(safe)
    onStep?.(safe)
  }

  /** The finding of work within a deadline. */
  async function findingOf(
    ms: number,
    work: (signal: AbortSignal) => Promise<Finding> | Finding
  ): Promise<Finding> {
    const limit = deadline(systemClock, ms, () => new StepTimeout(ms), signal)
    try {
      return await unlessAborted(limit.signal, async () => work(limit.signal))
    } catch (error) {
      return explain(error)
    } finally {
      limit.clear()
    }
  }
  function notTried(name: string): void {
    push({ name, ok: false, skipped: true, detail: `Not tried: ${reasonOf(signal)}.`, ms: 0 })
  }

  return {
    all,
    async run(name, work, ms = stepMs) {
      if (signal.aborted) {
        notTried(name)
        return false
      }
      const startedAt = performance.now()
      const finding = await findingOf(ms, work)
      push({ name, ...finding, ms: Math.round(performance.now() - startedAt) })
      return finding.ok
    },
    async stages(names, work, ms = stepMs) {
      if (signal.aborted) {
        for (const name of names) notTried(name)
        return false
      }
      let at = performance.now()
      let next = 0
      let isOver = false
      const add = (finding: Finding) => {
        const now = performance.now()
        push({ name: names[next++] as string, ...finding, ms: Math.round(now - at) })
        at = now
      }
      const finding = await findingOf(ms, (limited) =>
        work(limited, (name, detail) => {
          const stage = names.indexOf(name)
          while (!isOver && next <= stage) add({ ok: true, detail: next === stage ? detail : 'Passed.' })
        })
      )
      isOver = true
      while (finding.ok && next < names.length - 1) add({ ok: true, detail: 'Passed.' })
      const broken = names[next] as string
      add(finding)
      for (const name of names.slice(next)) {
        const detail = `Not reached: "${broken}" failed.`
        push({ name, ok: false, skipped: true, detail, ms: 0 })
      }
      return finding.ok
    },
    skip(name, detail, because) {
      push({ name, ok: because === 'not-asked', skipped: true, detail, ms: 0 })
    }
  }
}

function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : 'the run was ended'
}

/** Work that does not watch the signal is left behind. */
async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    // What the work makes of the signal says more than the signal's own reason, so it goes first.
    onAbort = () => setTimeout(() => reject(signal.reason), 50)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  const working = work()
  working.catch(() => {})
  try {
    return await Promise.race([working, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}
