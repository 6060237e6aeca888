import { randomBytes } from 'node:crypto'
import type { Frame } from '../frame.ts'
import type { AfterChallenge, CopilotTurnBehaviour } from './behaviour.ts'
import type { CopilotQuestion } from './client-events.ts'
import type { EventWriter, ServerEvent } from './events.ts'
import { afterFailure, challengeEvent, errorEvent, failureOf } from './failures.ts'
import { addressOf, type Pictures, previewOf } from './pictures.ts'
import { type Plan, planTurn } from './plan.ts'
import { endingMoment, pieces } from './timing.ts'

/** How a turn ended. `left`: the client went away, or the play is silence until it does. */
export type Outcome = 'completed' | 'failed' | 'left'

/** The socket as a turn sees it. */
export interface Line {
  out: EventWriter
  /** Whether the client is still there. */
  open(): boolean
  /** Closes with a close frame. */
  close(code: number): void
  /** Drops the TCP connection without one. */
  terminate(): void
  /** The turn is over, and the next question may come; what trails after `done` is still to be said. */
  ended(outcome: 'completed' | 'failed'): void
}

const newId = () => randomBytes(16).toString('base64url').slice(0, 21)

/**
 * Plays one turn as the behaviour says.
 * The conversation remembers the turn only when `done` was sent.
 */
export async function playTurn(
  frame: Frame,
  line: Line,
  pictures: Pictures,
  question: CopilotQuestion,
  how: CopilotTurnBehaviour
): Promise<Outcome> {
  const { conversation, prompt } = question
  const plan: Plan = planTurn(question, how)
  const messageId = newId()
  const tooLong = how.maxTextLength > 0 && prompt.length > how.maxTextLength
  const failure = tooLong ? errorEvent('text-too-long') : failureOf(how)
  const moment = tooLong ? 'start' : endingMoment(how, failure !== undefined)
  let said = ''

  function write(event: ServerEvent | string): void {
    if (line.open()) line.out.write(event)
  }

  /** One event of the answer, after the pace's delay. Returns whether the client is still there. */
  async function say(event: ServerEvent): Promise<boolean> {
    await frame.delay(how.updateDelayMs)
    write(event)
    return line.open()
  }

  const unknown = (): void => {
    write({
      event: 'hologramReady',
      messageId,
      text: 'not for you',
      card: { event: 'appendText', text: 'x' }
    })
    write({ event: 'appendCard', messageId, partId: newId(), text: 'nor this', content: [{ type: 'text' }] })
  }

  function cite(): void {
    for (const { title, url, host } of plan.sources) {
      const event = {
        event: 'citation',
        messageId,
        partId: 'p1',
        title,
        url,
        iconUrl: `https://${host}/i.png`
      }
      for (let n = how.duplicateCitations ? 2 : 1; n > 0; n--) write(event)
    }
  }

  /** Returns whether the turn goes on. */
  function challenge(): boolean {
    if (how.challenge === 'none') return true
    frame.count('copilot.challenges')
    write(challengeEvent(how.challenge))
    if (how.challengeThen === 'answer') return true
    afterChallenge(line, how.challengeThen)
    return false
  }

  /** Streams one part; stops in its middle when the turn is to end there. Returns whether the client is still there. */
  async function stream(partId: string, text: string, first: boolean): Promise<boolean | Outcome> {
    const middling =
      first &&
      (moment === 'mid-text' ||
        how.notJson === 'mid-text' ||
        how.citationsAt === 'mid-text' ||
        how.challengeAt === 'during' ||
        how.rewrite !== 'none')
    const parts = pieces(text, how, middling)
    const middle = Math.ceil(parts.length / 2)
    let shown = ''
    for (const [index, piece] of parts.entries()) {
      shown += piece
      if (!(await say({ event: 'appendText', messageId, partId, text: piece }))) return false
      if (!first || index + 1 !== middle) continue
      if (moment === 'mid-text') {
        said = shown
        return true
      }
      if (how.challengeAt === 'during' && !challenge()) return afterChallengeOutcome(how.challengeThen)
      if (how.notJson === 'mid-text') write('{"event":appendText}')
      if (how.citationsAt === 'mid-text') cite()
      if (how.rewrite === 'shrink') {
        // Less is shown for a moment; the rest then comes once more.
        const shorter = parts.slice(0, Math.floor(middle / 2)).join('')
        if (!(await say({ event: 'replaceText', messageId, partId, text: shorter }))) return false
        if (!(await say({ event: 'appendText', messageId, partId, text: shown.slice(shorter.length) })))
          return false
      }
      if (how.rewrite === 'diverge') {
        shown = `Let me put it another way. ${shown}`
        if (!(await say({ event: 'replaceText', messageId, partId, text: shown }))) return false
      }
    }
    if (first && how.rewrite === 'final-differs') {
      shown = `In short: ${shown}`
      if (!(await say({ event: 'replaceText', messageId, partId, text: shown }))) return false
    }
    said += said === '' ? shown : `\n\n${shown}`
    if (how.partCompleted) write({ event: 'partCompleted', messageId, partId })
    return line.open()
  }

  async function paint(): Promise<boolean> {
    for (let n = 0; n < plan.pictures; n++) {
      const picture = pictures.add(prompt, n, how.plain)
      const partId = `g${n + 1}`
      write({
        event: 'generatingImage',
        messageId,
        partId,
        prompt,
        progressionText: 'Sketching the picture…'
      })
      for (let step = 1; question.wantsPreviews && step <= how.previews; step++) {
        const content = await previewOf(picture, step, how)
        if (!(await say({ event: 'partialImageGenerated', messageId, partId, content }))) return false
      }
      if (!how.imageFinal) continue
      const url = addressOf(picture, how.imageHost, frame)
      const thumbnailUrl = `${url}?w=270`
      if (
        !(await say({ event: 'imageGenerated', messageId, partId, url, thumbnailUrl, nextAvailableAt: null }))
      ) {
        return false
      }
      if (how.partCompleted) write({ event: 'partCompleted', messageId, partId })
    }
    return line.open()
  }

  /** Everything up to the end. `true`: the end is to be played; an outcome: it was. */
  async function perform(): Promise<boolean | Outcome> {
    if (moment === 'start') return line.open()
    if (how.challengeAt === 'before' && !challenge()) return afterChallengeOutcome(how.challengeThen)
    const createdAt = new Date().toISOString()
    write({ event: 'received', conversationId: conversation.id, messageId: newId(), createdAt })
    if (how.modeSelected) write({ event: 'modeSelected', mode: question.mode })
    if (how.unknownEvents) unknown()
    if (how.notJson === 'before-text') write('<html>not an event</html>')
    await frame.delay(how.thinkMs)
    if (how.challengeAt === 'instead' && !challenge()) return afterChallengeOutcome(how.challengeThen)
    if (moment === 'before-text') return line.open()

    write({
      event: 'startMessage',
      conversationId: conversation.id,
      messageId,
      createdAt: new Date().toISOString()
    })
    if (plan.reasoning !== null) {
      for (const text of pieces(plan.reasoning, how, true)) {
        if (!(await say({ event: 'chainOfThought', messageId, partId: 'c1', text }))) return false
      }
    }
    if (how.citationsAt === 'before-text') cite()
    if (plan.text !== '') {
      const streamed = await stream('p1', plan.text, true)
      if (streamed !== true || moment === 'mid-text') return streamed
    }
    if (how.citationsAt === 'after-text') cite()
    if (!(await paint())) return false
    if (plan.secondText !== null) return stream('p2', plan.secondText, false)
    return line.open()
  }

  function follow(): void {
    if (plan.suggestions.length > 0) {
      write({ event: 'suggestedFollowups', messageId, suggestions: plan.suggestions })
    }
  }

  /** `done` and what comes before and after it. */
  async function finish(done: boolean): Promise<Outcome> {
    if (how.followups === 'before') follow()
    if (done) {
      const padding = how.largeRecordBytes > 0 ? { padding: 'x'.repeat(how.largeRecordBytes) } : {}
      write({ event: 'done', messageId, ...padding })
      conversation.memory.push({ prompt, answer: said })
      conversation.updatedAt = new Date().toISOString()
      conversation.title = plan.title ?? conversation.title
      if (how.followupsDelayMs > 0) line.out.flush()
      line.ended('completed')
    }
    if (how.followupsDelayMs > 0) await frame.delay(how.followupsDelayMs)
    if (how.followups === 'after') follow()
    if (plan.title !== null) {
      write({ event: 'titleUpdate', conversationId: conversation.id, title: plan.title })
    }
    line.out.flush()
    if (how.closeAfter && done) line.close(1000)
    return done ? 'completed' : 'left'
  }

  function fail(event: ServerEvent): Outcome {
    write(event)
    const then = afterFailure(how, event)
    if (then === 'challenge-close') {
      frame.count('copilot.challenges')
      write(challengeEvent('null'))
    }
    line.out.flush()
    if (then !== 'nothing') line.close(how.closeCode)
    return 'failed'
  }

  const performed = await perform()
  if (performed === false) return 'left'
  if (performed !== true) return performed
  if (failure !== undefined) return fail(failure)
  line.out.flush()
  switch (how.end) {
    case 'silence':
      return 'left'
    case 'close':
    case 'terminate':
      if (how.end === 'terminate') line.terminate()
      else line.close(how.closeCode)
      return 'failed'
    default:
      // A good end in the middle of the text still has its `done`, as of an answer that was stopped.
      return finish(how.end === 'done')
  }
}

/** What follows a challenge that is not solved; docs/protocol/chat-copilot.md section 6. */
export function afterChallenge(
  line: Pick<Line, 'out' | 'close' | 'terminate'>,
  then: Exclude<AfterChallenge, 'answer'>
): void {
  if (then === 'invalid-event') line.out.write(errorEvent('invalid-event'))
  line.out.flush()
  if (then === 'close') line.close(1000)
  if (then === 'terminate') line.terminate()
}

const afterChallengeOutcome = (then: AfterChallenge): Outcome => (then === 'silence' ? 'left' : 'failed')
