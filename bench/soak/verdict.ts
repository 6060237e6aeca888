import type { PlayedFault, Violation } from '../../src/simulator/index.ts'
import type { Client } from './client.ts'
import { FINDINGS, type FindingKind, type Findings } from './findings.ts'
import type { LogSummary } from './log.ts'
import { type Sample, thirds } from './samples.ts'
import type { Stats } from './soak.ts'

export interface Outcome {
  title: string
  findings: Findings
  stats: Stats
  statuses: Client['statuses']
  faults: readonly PlayedFault[]
  /** What the upstream has counted. */
  counts: Readonly<Record<string, number>>
  violations: readonly Violation[]
  /** Of the time under load. */
  samples: readonly Sample[]
  /** With nobody about, at the start and at the end. */
  before: Sample
  after: Sample
  /** Times that `/metrics` did not answer. */
  missed: number
  log: LogSummary
  /** How the gateway ended, if it did so by itself. */
  exited: string | undefined
  /** After its SIGTERM; `null`: it had to be killed. */
  exitCode: number | null
}

/** Growth that a steady process may show from one third of the time to the next. */
const GROWTH = { ratio: 1.25, mb: 24 }
/** Files and handles beyond those of the start: a kept connection of the store, a timer. */
const LEFT_OVER = 12

/** Whether a process has as many files and handles open as it had when it was idle before. */
export function isBack(now: Sample, before: Sample): boolean {
  return now.fds <= before.fds + LEFT_OVER && now.handles <= before.handles + LEFT_OVER
}

interface Check {
  what: string
  good: boolean
  note?: string
}

/** Prints the table and a line for each thing that had to hold. @returns whether all did */
export function printVerdict(outcome: Outcome): boolean {
  const { title, stats, statuses, faults, findings, log, samples } = outcome
  console.log(`\nSoak: ${title}\n`)
  for (const [what, n] of stats.entries()) row(what, n)
  console.log('\nAnswers')
  for (const [what, n] of [...statuses].sort(([a], [b]) => a.localeCompare(b))) row(what, n)
  console.log('\nInjected faults')
  for (const [op, list] of grouped(faults))
    row(op, list.length, [...new Set(list.map(({ fault }) => fault))].length)
  console.log('\nProcess')
  const line = (what: string, of: (one: Sample) => number) => {
    const [middle, last] = thirds(samples, of)
    const peak = Math.max(...samples.map(of))
    console.log(
      `  ${what.padEnd(30)}${[outcome.before, outcome.after].map((one) => of(one).toFixed(0)).join(' → ')} idle; medians ${middle.toFixed(0)}, then ${last.toFixed(0)}; peak ${peak.toFixed(0)}`
    )
  }
  line('RSS (MB)', ({ rss }) => rss)
  line('heap (MB)', ({ heap }) => heap)
  line('open files', ({ fds }) => fds)
  line('handles', ({ handles }) => handles)
  line('event loop delay p99 (ms)', ({ loopDelayMs }) => loopDelayMs)
  if (log.errors.size > 0) console.log('\nLog lines at level error')
  for (const [msg, n] of log.errors) row(msg, n)

  const checks = checksOf(outcome)
  console.log('')
  for (const { what, good, note } of checks)
    console.log(`${good ? 'PASS' : 'FAIL'}  ${what}${note === undefined ? '' : `: ${note}`}`)
  for (const { kind, detail } of findings.examples())
    console.log(`\n${kind}: ${JSON.stringify(detail).slice(0, 2000)}`)
  for (const one of outcome.violations.slice(0, 5)) console.log(`\nviolation: ${JSON.stringify(one)}`)
  for (const one of [...log.alarming, ...log.defects].slice(0, 5)) console.log(`\nlog: ${one.slice(0, 2000)}`)
  return checks.every(({ good }) => good)
}

function checksOf(outcome: Outcome): Check[] {
  const { findings, log, samples, before, after, stats, violations } = outcome
  const flat = (what: string, of: (one: Sample) => number): Check => {
    const [middle, last] = thirds(samples, of)
    const most = middle * GROWTH.ratio + GROWTH.mb
    return { what, good: last <= most, note: `${last.toFixed(0)} MB, at most ${most.toFixed(0)} MB` }
  }
  const back = (what: string, of: (one: Sample) => number): Check => ({
    what,
    good: of(after) <= of(before) + LEFT_OVER,
    note: `${of(before)}, then ${of(after)}`
  })
  const defects = [...outcome.statuses].filter(([key]) => key.endsWith(' 500'))
  return [
    {
      what: 'the gateway ran through, as one process, and ended when it was told to',
      good: outcome.exited === undefined && outcome.exitCode === 0 && before.startedAt === after.startedAt,
      note: outcome.exited ?? `exit code ${outcome.exitCode}`
    },
    {
      what: 'no unhandled rejection, no uncaught exception, no fatal line in the log',
      good: log.alarming.length === 0,
      note: `${log.alarming.length} in ${log.lines} lines`
    },
    {
      what: 'no defect of its own: no status 500, no api_error in the log',
      good: defects.length === 0 && log.defects.length === 0,
      note: `${log.defects.length} in the log`
    },
    ...(Object.keys(FINDINGS) as FindingKind[]).map((kind) => ({
      what: `0 ${FINDINGS[kind]}`,
      good: findings.count(kind) === 0,
      note: String(findings.count(kind))
    })),
    {
      what: '0 rules of the upstream broken',
      good: violations.length === 0,
      note: String(violations.length)
    },
    {
      what: 'there was something to see',
      good:
        stats.get('turns: answered') > 20 && outcome.faults.length > 20 && stats.get('images: completed') > 0,
      note: `${stats.get('turns: answered')} turns, ${outcome.faults.length} faults`
    },
    flat('RSS is flat', ({ rss }) => rss),
    flat('the heap is flat', ({ heap }) => heap),
    back('open files are back to those of the start', ({ fds }) => fds),
    back('handles are back to those of the start', ({ handles }) => handles),
    { what: '/metrics always answered', good: outcome.missed === 0, note: `${outcome.missed} times not` },
    {
      what: 'all circuits are closed',
      good: after.open.length === 0,
      note: after.open.join(', ') || undefined
    },
    {
      what: 'all upstreams are ok',
      good: after.states.length === 0,
      note: after.states.join(', ') || undefined
    },
    { what: 'no task is left', good: after.processing === 0, note: String(after.processing) }
  ]
}

function grouped(faults: readonly PlayedFault[]): Map<string, PlayedFault[]> {
  const groups = new Map<string, PlayedFault[]>()
  for (const one of faults) {
    const list = groups.get(one.op)
    if (list === undefined) groups.set(one.op, [one])
    else list.push(one)
  }
  return groups
}

function row(what: string, n: number, kinds?: number): void {
  console.log(
    `  ${what.padEnd(64)}${String(n).padStart(8)}${kinds === undefined ? '' : `  of ${kinds} kinds`}`
  )
}
