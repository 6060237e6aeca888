import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Corpus, mutateBytes } from './mutate-bytes.ts'
import { type Random, randomFrom, seedOf } from './random.ts'

/** Something that reads what Microsoft, a file or a caller sends. */
export interface CodecTarget {
  name: string
  corpus: Corpus
  /** Makes an input; default: a seed of the corpus with changed bytes. */
  make?(random: Random): Buffer
  /** Reads it. Whatever it resolves with is fine. @throws what `allows` knows, or it is a defect */
  feed(input: Buffer, random: Random): unknown
  allows(error: unknown): boolean
}

export interface CodecFailure {
  target: string
  index: number
  problem: string
  /** The smallest input found that fails as the first one did. */
  input: Buffer
}

export interface CodecReport {
  target: string
  inputs: number
  bytes: number
  refused: number
  ms: number
  slowestMs: number
  /** Growth of the live heap and of buffers over the run, in bytes. */
  retained: number
  failures: CodecFailure[]
}

/**
 * Processor time that one input may take, in milliseconds. The largest ones take a few dozen; what looks at all of its
 * input again for each piece of it takes minutes. Time of the process, so that a busy machine makes no failure.
 */
const MAX_CPU_MS = 3000
/** Live memory that a target may have kept when all of its inputs are done, in bytes. */
const MAX_RETAINED = 48 * 1024 * 1024
const MOST_FAILURES = 5
const MOST_SHRINKS = 300
/** Bytes of an input that is shown rather than written to a file. */
const LONGEST_SHOWN = 600

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is alive, in bytes. */
export function liveBytes(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/**
 * Feeds `count` inputs to a target.
 * @param only the number of the one input to feed, to repeat a failure
 */
export async function fuzzCodec(
  target: CodecTarget,
  { seed, count, only }: { seed: number; count: number; only?: number }
): Promise<CodecReport> {
  const failures: CodecFailure[] = []
  let bytes = 0
  let refused = 0
  let slowestMs = 0
  const before = liveBytes()
  const startedAt = performance.now()
  for (let index = only ?? 0; index < (only === undefined ? count : only + 1); index++) {
    const random = randomFrom(seedOf(seed, target.name, index))
    const input = target.make?.(random) ?? mutateBytes(random, target.corpus)
    const cuts = random.below(2 ** 31)
    bytes += input.length
    const { problem, threw, cpuMs } = await tried(target, input, cuts)
    if (threw) refused += 1
    slowestMs = Math.max(slowestMs, cpuMs)
    if (problem !== undefined) {
      const kind = problem.split('\n', 1)[0]
      const fails = async (smaller: Buffer) =>
        (await tried(target, smaller, cuts)).problem?.split('\n', 1)[0] === kind
      failures.push({ target: target.name, index, problem, input: await shrunk(input, fails) })
      if (failures.length === MOST_FAILURES) break
    }
    if (index % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const ms = performance.now() - startedAt
  const retained = Math.max(0, liveBytes() - before)
  if (retained > MAX_RETAINED)
    failures.push({
      target: target.name,
      index: -1,
      problem: `${retained} bytes are kept after the last input`,
      input: Buffer.alloc(0)
    })
  return { target: target.name, inputs: count, bytes, refused, ms, slowestMs, retained, failures }
}

async function tried(
  target: CodecTarget,
  input: Buffer,
  cuts: number
): Promise<{ problem?: string; threw: boolean; cpuMs: number }> {
  const before = process.cpuUsage()
  const cpu = () => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  }
  let threw = false
  let problem: string | undefined
  try {
    const result = target.feed(input, randomFrom(cuts))
    if (result instanceof Promise) await result
  } catch (error) {
    threw = true
    if (!target.allows(error)) problem = error instanceof Error ? `${error.stack}` : `threw ${String(error)}`
  }
  const cpuMs = cpu()
  if (cpuMs > MAX_CPU_MS) problem ??= `takes longer than ${MAX_CPU_MS} ms\n${Math.round(cpuMs)} ms`
  return { problem, threw, cpuMs }
}

/** Leaves out what is not needed for the failure: halves first, then ever smaller pieces. */
async function shrunk(input: Buffer, fails: (smaller: Buffer) => Promise<boolean>): Promise<Buffer> {
  let smallest = input
  const end = performance.now() + 10_000
  let attempts = 0
  for (let size = Math.ceil(input.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < smallest.length; ) {
      if (attempts++ > MOST_SHRINKS || performance.now() > end) return smallest
      const smaller = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)])
      if (await fails(smaller)) smallest = smaller
      else at += size
    }
  }
  return smallest
}

/** A failure as somebody needs it who wants to see it again. The input is in the text, or in a file when it is long. */
export function describeFailure({ target, index, problem, input }: CodecFailure, seed: number): string {
  const file = join(tmpdir(), `fuzz-${target}-${seed}-${index}.bin`)
  if (input.length > LONGEST_SHOWN) writeFileSync(file, input)
  const shown =
    input.length > LONGEST_SHOWN ? `${input.length} bytes in ${file}` : `base64 ${input.toString('base64')}`
  return `${target}: ${problem}\n  input: ${shown}\n  again: SEED=${seed} CODEC=${target} CASE=${index} npm run fuzz`
}

export function codecTable(reports: readonly CodecReport[]): string {
  const rows = reports.map(({ target, inputs, bytes, refused, ms, slowestMs, retained, failures }) => [
    target,
    String(inputs),
    `${(bytes / 1e6).toFixed(0)} MB`,
    String(refused),
    `${(ms / 1000).toFixed(1)} s`,
    `${slowestMs.toFixed(0)} ms`,
    `${(retained / 1e6).toFixed(1)} MB`,
    String(failures.length)
  ])
  const head = ['codec', 'inputs', 'bytes', 'refused', 'time', 'slowest (CPU)', 'kept', 'failures']
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
