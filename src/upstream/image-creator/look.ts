import { type CreationResult, isPassing, type Job, type Look, type LookMemory } from '../creation-client.ts'
import { FAILURES, type FailureId, UpstreamError } from '../failures.ts'
import type { UpstreamResponse } from '../http.ts'
import { refuseBadStatus } from '../page-verdict.ts'
import { errorTextRow, hasRejectionMarker, parsePage } from './page.ts'
import { type PageSession, pageHeaders } from './session.ts'
import { type CreatorContext, creationFailure } from './submit.ts'

/** Looks in a row that may show a finished creation with nothing in it; the last one fails the job (rows I22, V7). */
const MAX_HOLLOW_LOOKS = 3
/** Fresh bootstraps that may be spent on polls that Bing refuses; then the job fails (row I20). */
const MAX_BOOTSTRAPS = 2

/** What the body of a poll answer with status 200 says. */
export type PollVerdict =
  /** `json`: it was the waiting JSON, which may hide a review of the prompt. */
  | { kind: 'pending'; json: boolean }
  | { kind: 'ready'; result: CreationResult }
  /** Finished, with nothing in it. */
  | { kind: 'hollow' }
  /** `said`: Bing's own words, for the log. */
  | { kind: 'failed'; row: FailureId; said?: string }
  /** Nobody seems to be signed in. `row`: what to end with when a fresh session does not help; default I20. */
  | { kind: 'signed-out'; row?: FailureId }

/** How one kind of creation is looked at. */
export interface LookRules {
  /** Path with query of the poll. */
  pollPath(session: PageSession): string
  referer: string
  read(body: string): PollVerdict
  /** Row of a creation that stayed hollow. */
  hollowRow: 'I22' | 'V7'
  /** Row of a look that found nobody signed in, and a fresh bootstrap that agrees. */
  signedOutRow: 'I20-auth' | 'V8'
}

/**
 * Looks at a creation once: the first time at its result page, then at its poll answer.
 *
 * @throws {UpstreamError} the creation's failure, or one for which `isPassing` holds; or the signal's reason
 */
export async function lookAtCreation(
  context: CreatorContext,
  job: Job<{ prompt: string }>,
  rules: LookRules,
  signal: AbortSignal
): Promise<Look> {
  const { clock, http, session } = context
  const base = context.bingUrl.replace(/\/+$/, '')
  const visit = await session.open(signal).catch((error: unknown) => {
    throw signedOut(error, rules.signedOutRow)
  })
  await openResultPage(context, job, signal)

  const answer = await http.request({
    url: `${base}${rules.pollPath(visit)}`,
    headers: pageHeaders(base, rules.referer),
    signal
  })
  const lost = refusedPoll(answer)
  const verdict: PollVerdict = lost === undefined ? rules.read(answer.text) : { kind: 'signed-out' }

  switch (verdict.kind) {
    case 'ready':
      return { state: 'ready', result: verdict.result }
    case 'failed':
      throw creationFailure(
        verdict.row,
        clock,
        verdict.said && new Error(`Bing said: ${verdict.said.slice(0, 200)}`)
      )
    case 'signed-out': {
      const bootstraps = job.memory.bootstraps ?? 0
      if (bootstraps >= MAX_BOOTSTRAPS) throw lost ?? new UpstreamError(verdict.row ?? 'I20')
      await session.renew(visit, signal).catch((error: unknown) => {
        throw signedOut(error, rules.signedOutRow)
      })
      return { state: 'pending', memory: { ...job.memory, opened: true, bootstraps: bootstraps + 1 } }
    }
    case 'hollow': {
      const hollow = (job.memory.hollow ?? 0) + 1
      if (hollow >= MAX_HOLLOW_LOOKS) throw new UpstreamError(rules.hollowRow)
      return { state: 'pending', memory: { ...goodLook(job.memory, false), hollow } }
    }
    case 'pending':
      return { state: 'pending', memory: goodLook(job.memory, verdict.json) }
  }
}

/**
 * Opens the result page of a creation, unless that has been done: some prompts are refused there only.
 * @returns what later looks need to know
 * @throws {UpstreamError} the creation's failure; or the signal's reason
 */
export async function openResultPage(
  context: CreatorContext,
  { memory, resultUrl, request }: Job<{ prompt: string }>,
  signal: AbortSignal
): Promise<LookMemory> {
  if (memory.opened !== true && resultUrl !== undefined) {
    const row = await refusalOnResultPage(context, resultUrl, request.prompt, signal)
    if (row !== undefined) throw creationFailure(row, context.clock)
  }
  return { ...memory, opened: true }
}

function goodLook(before: LookMemory, json: boolean): LookMemory {
  return { opened: true, onlyPendingJson: json && before.onlyPendingJson !== false }
}

/** A refusal that came after the prompt was accepted. Any other trouble with this page is left to the polls. */
async function refusalOnResultPage(
  { session }: CreatorContext,
  url: string,
  prompt: string,
  signal: AbortSignal
): Promise<FailureId | undefined> {
  let page: UpstreamResponse
  try {
    page = await session.page(url, signal)
  } catch {
    signal.throwIfAborted()
    return undefined
  }
  if (page.status !== 200) return undefined
  if (hasRejectionMarker(page.text)) return 'I4'
  const row = errorTextRow(parsePage(page.text), { prompt })
  return row === undefined || isPassing(new UpstreamError(row)) ? undefined : row
}

/**
 * Whether an answer is no poll answer at all.
 * @returns the failure to end with when fresh sessions don't help; `undefined` when there is a body to read
 * @throws {UpstreamError} T5, T8, T9
 */
function refusedPoll(answer: UpstreamResponse): UpstreamError | undefined {
  try {
    refuseBadStatus(answer)
  } catch (error) {
    // A login redirect or a block may be about this session only, which a fresh bootstrap finds out.
    if (error instanceof UpstreamError && error.row === 'T7') return error
    if (error instanceof UpstreamError && error.row === 'T6')
      return new UpstreamError('I20', { cause: error })
    throw error
  }
  if (answer.status === 200) return undefined
  return new UpstreamError('I20', { cause: new Error(`poll: status ${answer.status}`) })
}

/** What a bootstrap failure means to a job that is already accepted. */
function signedOut(error: unknown, row: 'I20-auth' | 'V8'): unknown {
  if (!(error instanceof UpstreamError)) return error
  if (error.row === 'I1' || error.row === 'T6') return new UpstreamError(row, { cause: error })
  // A missing cookie pauses a video as an expired one does, but tells the caller what it is.
  if (error.row === 'C1' && row === 'V8') {
    const { code, message } = FAILURES.C1
    return new UpstreamError(row, { code, message, cause: error })
  }
  return error
}
