/** docs/protocol/failures.md section 5, rows G1 to G5: they need nothing of an upstream; what is checked is that it is not asked. */
import { type ChatRig, chatRig, checkFailure, type Identity, NOBODY, prompt } from '../chat-failures.ts'
import { checkPeace, type Want } from '../failure-table.ts'
import { type Group, group, outcomeOf, type PlayedOn } from './cell.ts'
import { columnOf, MANNERS } from './chat-cells.ts'

const WRONG_INVOCATION: Want = {
  status: 409,
  type: 'conflict_error',
  code: 'wrong_invocation',
  param: 'invocationId',
  stop: true
}
const UNKNOWN: Want = { status: 404, type: 'not_found_error', code: 'conversation_unknown', stop: true }
const WRONG_SIGNATURE: Want = {
  status: 403,
  type: 'permission_error',
  code: 'wrong_signature',
  stop: true
}
const EMPTY: Want = { status: 400, type: 'invalid_request_error', code: null, param: 'prompt' }
const TOO_LONG: Want = { ...EMPTY, code: 'prompt_too_long', stop: true }
const LONGEST = 16_000

const busy = MANNERS.flatMap((manner) =>
  [0, 1].map(
    (turn): PlayedOn<ChatRig> => ({
      row: 'G1',
      form: `turn ${turn}`,
      column: columnOf(manner),
      async play(t, rig) {
        const { sim } = rig
        const identity = await rig.conversationAt(t, turn)
        sim.set('turn', { thinkMs: 300 })
        const running = rig.answered(t, identity, turn)
        await rig.until(() => rig.asked().questions > 0)
        const seconds = []
        for (const invocationId of [turn, turn + 1, undefined]) {
          const second = await rig.ask(identity, { prompt: 'Are you there?', invocationId }, manner)
          checkFailure(t, `invocationId ${invocationId}`, second, {
            status: 409,
            type: 'conflict_error',
            code: 'turn_in_progress',
            retryAfter: [1, 5]
          })
          seconds.push(second)
        }
        await running
        t.equal(rig.asked().questions, 1)
        rig.mend()
        await rig.answered(t, identity, turn + 1)
        t.strictSame(sim.violations, [])
        const [first] = seconds
        if (first === undefined) throw new Error('nobody was refused')
        return outcomeOf(first, 0)
      }
    })
  )
)

interface Refused {
  row: string
  form?: string
  /** What is sent in place of what belongs there on turn n. @param other another conversation's */
  body: (turn: number, other: Identity) => Record<string, unknown>
  want: Want
  turns?: readonly number[]
  says?: (turn: number) => RegExp
}

const expects = (turn: number) => new RegExp(`expects invocationId ${turn}\\.`)

const refused: Refused[] = [
  {
    row: 'G2',
    form: 'ahead',
    body: (turn) => ({ invocationId: turn + 1 }),
    want: WRONG_INVOCATION,
    says: expects
  },
  {
    row: 'G2',
    form: 'the last one with another prompt',
    body: (turn) => ({ invocationId: turn - 1 }),
    want: WRONG_INVOCATION,
    turns: [1],
    says: expects
  },
  { row: 'G3', body: () => ({ conversationId: 'a-conversation-of-nobody' }), want: UNKNOWN },
  { row: 'G4', form: 'signature', body: () => ({ conversationSignature: 'wrong' }), want: WRONG_SIGNATURE },
  { row: 'G4', form: 'client id', body: () => ({ clientId: 'wrong' }), want: WRONG_SIGNATURE },
  {
    row: 'G4',
    form: "another conversation's",
    body: (_turn, { conversationSignature, clientId }) => ({ conversationSignature, clientId }),
    want: WRONG_SIGNATURE
  },
  { row: 'G5', form: 'empty', body: () => ({ prompt: '' }), want: EMPTY },
  { row: 'G5', form: 'blank', body: () => ({ prompt: ' \n\t' }), want: EMPTY },
  { row: 'G5', form: 'too long', body: () => ({ prompt: 'x'.repeat(LONGEST + 1) }), want: TOO_LONG }
]

const never = refused.flatMap(({ row, form, body, want, turns = [0, 1], says }) =>
  turns.flatMap((turn) =>
    MANNERS.map(
      (manner): PlayedOn<ChatRig> => ({
        row,
        form: form === undefined ? `turn ${turn}` : `${form}, turn ${turn}`,
        column: columnOf(manner),
        async play(t, rig) {
          const other = await rig.conversation()
          const identity = await rig.conversationAt(t, turn)
          const wrong = { prompt: 'Hello', invocationId: turn, ...body(turn, other) }
          const answer = await rig.ask(identity, wrong, manner)
          checkFailure(t, row, answer, want)
          if (says !== undefined) t.match(answer.json.error.message, says(turn))
          t.strictSame(rig.asked(), NOBODY)
          await rig.answered(t, identity, turn)
          return outcomeOf(answer, 0)
        }
      })
    )
  )
)

const longest: PlayedOn<ChatRig>[] = MANNERS.map((manner) => ({
  row: 'G5',
  form: 'the longest',
  column: columnOf(manner),
  async play(t, rig) {
    const identity = await rig.conversationAt(t, 0)
    const answer = await rig.ask(identity, { prompt: 'x'.repeat(LONGEST), invocationId: 0 }, manner)
    t.equal(answer.status, 200, `a prompt of ${LONGEST} characters`)
    t.equal((await rig.ask(identity, { prompt: prompt(0), invocationId: 1 })).status, 200)
    return outcomeOf(answer, 1)
  }
}))

const OPTIONS = { renew: (rig: ChatRig) => rig.newCookie(), end: checkPeace }

export const ownSideGroups: readonly Group[] = [
  group('own side: a second turn while one runs', chatRig, busy, OPTIONS),
  group('own side: refused before anybody is asked', chatRig, [...never, ...longest], OPTIONS)
]
