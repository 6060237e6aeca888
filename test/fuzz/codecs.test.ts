/** Changed bytes for everything that reads what others wrote. At length: `npm run fuzz` (docs/resilience.md). */
import t from 'tap'
import { createAnswerReducer as createCopilotReducer } from '../../src/upstream/copilot/answer.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'
import { createAnswerReducer } from '../../src/upstream/sydney/answer.ts'
import { createRecordDecoder } from '../../src/upstream/sydney/codec.ts'
import { MAX_RECORD_CHARS } from '../../src/upstream/sydney/constants.ts'
import { codecTable, describeFailure, fuzzCodec, liveBytes } from './codec-run.ts'
import { codecTargets } from './codecs.ts'

const SEED = 20_261_122
// On a machine that has much else to do.
t.setTimeout(300_000)
const COUNT = 1500

for (const target of await codecTargets(t)) {
  t.test(`${COUNT} inputs for ${target.name}`, async (t) => {
    const report = await fuzzCodec(target, { seed: SEED, count: COUNT })
    const { failures, refused } = report
    t.comment(codecTable([report]))
    t.strictSame(
      failures.map((failure) => describeFailure(failure, SEED)),
      []
    )
    t.ok(refused < COUNT, 'some are read')
  })
}

t.test('a record that never ends is given up at its limit', async (t) => {
  const piece = 'x'.repeat(64 * 1024)
  const decoder = createRecordDecoder()
  const before = liveBytes()
  let taken = 0
  try {
    for (; taken < 4 * MAX_RECORD_CHARS; taken += piece.length) for (const _ of decoder.push(piece));
    t.fail('endless')
  } catch (error) {
    t.equal((error as UpstreamError).row, 'W12')
  }
  t.ok(taken <= MAX_RECORD_CHARS, `${taken} characters`)
  t.ok(liveBytes() - before < 3 * MAX_RECORD_CHARS)
})

/** An upstream that never stops: 20,000 pieces of an answer, each of a part of its own or all of one. */
const FLOOD = 20_000
const floods: [string, (n: number) => void][] = [
  ...[true, false].map((isApart): [string, (n: number) => void] => {
    const reducer = createAnswerReducer(0, () => {})
    let text = ''
    return [
      `hub: ${isApart ? 'messages' : 'text'}`,
      (n) => {
        text = isApart ? 'x'.repeat(100) : text + 'x'.repeat(4000)
        const message = { author: 'bot', messageId: isApart ? `m${n}` : 'm', text }
        reducer.take({
          type: 1,
          target: 'update',
          arguments: [{ cursor: isApart ? {} : null, messages: [message] }]
        })
      }
    ]
  }),
  ...[true, false].map((isApart): [string, (n: number) => void] => {
    const reducer = createCopilotReducer({ baseUrl: 'https://copilot.microsoft.com', now: () => 0 })
    return [
      `Copilot: ${isApart ? 'parts' : 'text'}`,
      (n) =>
        reducer.take({
          event: 'appendText',
          partId: isApart ? `p${n}` : 'p',
          text: 'x'.repeat(isApart ? 100 : 4000)
        })
    ]
  })
]
for (const [name, push] of floods) {
  t.test(`an answer that never ends is given up (${name})`, async (t) => {
    const before = process.cpuUsage()
    let failure: unknown
    for (let n = 0; n < FLOOD && failure === undefined; n++) {
      try {
        push(n)
      } catch (error) {
        failure = error
      }
    }
    t.ok(failure instanceof UpstreamError)
    t.ok(process.cpuUsage(before).user < 20_000_000)
  })
}
