/** What the gateway has said while it ran. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** pino's number of `fatal`, and of `error`. */
const FATAL = 60
const ERROR = 50

export interface LogSummary {
  lines: number
  /** Messages of lines at `error`, with how often they came. */
  errors: Map<string, number>
  /** Lines that a service must never write: fatal ones, and traces of exceptions that nobody caught. */
  alarming: string[]
  /** Lines that tell of a defect, even if its caller had left by then. */
  defects: string[]
}

const UNCAUGHT =
  /unhandledRejection|uncaughtException|UnhandledPromiseRejection|MaxListenersExceeded|Warning:/i

export async function readLog(file: string): Promise<LogSummary> {
  const summary: LogSummary = { lines: 0, errors: new Map(), alarming: [], defects: [] }
  for await (const line of createInterface({ input: createReadStream(file) })) {
    if (line === '') continue
    summary.lines++
    let level = 0
    let msg = ''
    let type: string | undefined
    try {
      const entry = JSON.parse(line) as { level: number; msg?: string; type?: string }
      level = entry.level
      type = entry.type
      msg = entry.msg ?? ''
    } catch {
      // Whatever is no log line was written by Node itself.
      summary.alarming.push(line)
      continue
    }
    if (type === 'api_error') summary.defects.push(line)
    if (level >= FATAL || UNCAUGHT.test(line)) summary.alarming.push(line)
    else if (level >= ERROR) summary.errors.set(msg, (summary.errors.get(msg) ?? 0) + 1)
  }
  return summary
}
