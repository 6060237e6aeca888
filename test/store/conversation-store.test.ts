/** What the conversation store promises, on each engine. */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import {
  type AnsweredTurn,
  type Conversation,
  createConversationStore,
  type TurnClaim
} from '../../src/store/conversation-store.ts'
import { onBothEngines } from '../support/stores.ts'

const conversation = (id: string, more: Partial<Conversation> = {}): Conversation => ({
  id,
  owner: 'alice',
  clientId: '9147',
  signatureHash: 'aa',
  upstreamKind: 'sydney',
  upstream: { conversationId: 'up' },
  state: 'open',
  nextInvocation: 0,
  contextChars: 0,
  expiresAt: null,
  createdAt: 1_700_000_000_000,
  updatedAt: 1_700_000_000_000,
  askedBy: null,
  inDoubt: false,
  ...more
})

const answered = (invocationId: number, more: Partial<AnsweredTurn> = {}): AnsweredTurn => ({
  invocationId,
  prompt: `question ${invocationId}`,
  tone: 'precise',
  answer: {
    message: `answer ${invocationId}`,
    sources: [],
    suggestions: ['next?'],
    turns: { used: invocationId + 1, max: 30 },
    notice: undefined
  },
  answeredAt: 20 + invocationId,
  state: 'open',
  upstream: { conversationId: 'up', encryptedSignature: `after ${invocationId}` },
  expiresAt: 99,
  ...more
})

const claim = (worker: string, askedAt = 10): TurnClaim => ({ conversationId: 'c', worker, askedAt })

onBothEngines(t, 'a conversation keeps what is stored with it', async (t, { store }) => {
  const conversations = createConversationStore(store)
  await conversations.insert(conversation('c'))
  t.strictSame(await conversations.get('c'), conversation('c'))
  t.equal(await conversations.get('d'), undefined)
  t.equal(await conversations.get('c\0'), undefined)

  await conversations.claim(claim('w'))
  t.equal(await conversations.answer(claim('w'), answered(0)), true)
  t.strictSame(
    await conversations.get('c'),
    conversation('c', {
      upstream: { conversationId: 'up', encryptedSignature: 'after 0' },
      nextInvocation: 1,
      contextChars: 'question 0answer 0'.length,
      expiresAt: 99,
      updatedAt: 20
    }),
    'the answer has ended the claim'
  )
  await conversations.claim(claim('w', 11))
  await conversations.answer(claim('w', 11), answered(1, { tone: undefined }))
  const turns = [
    {
      invocationId: 0,
      prompt: 'question 0',
      tone: 'precise',
      answer: {
        message: 'answer 0',
        sources: [],
        suggestions: ['next?'],
        turns: { used: 1, max: 30 }
      },
      askedAt: 10,
      answeredAt: 20
    },
    {
      invocationId: 1,
      prompt: 'question 1',
      tone: null,
      answer: {
        message: 'answer 1',
        sources: [],
        suggestions: ['next?'],
        turns: { used: 2, max: 30 }
      },
      askedAt: 11,
      answeredAt: 21
    }
  ]
  t.strictSame(await conversations.turns('c'), turns)
  t.strictSame(await conversations.turn('c', 1), turns[1])
  t.equal(await conversations.turn('c', 2), undefined)
})

onBothEngines(t, 'one of many workers gets the next turn', async (t, { store, reopen }) => {
  const stores = [store, await reopen()].map(createConversationStore)
  await stores[0]?.insert(conversation('c'))
  const claims = await Promise.all(
    Array.from({ length: 20 }, (_, n) => stores[n % 2]?.claim(claim(`w${n}`, n)))
  )
  t.equal(claims.filter((it) => it !== undefined).length, 1)
})

onBothEngines(t, 'a claim lasts until its own worker gives it back', async (t, { store }) => {
  const conversations = createConversationStore(store)
  await conversations.insert(conversation('c'))
  t.match(await conversations.claim(claim('a')), { id: 'c', askedBy: 'a' })
  t.equal(await conversations.claim(claim('b')), undefined)
  await conversations.unclaim(claim('b'))
  await conversations.unclaimAll('b')
  t.strictSame(await conversations.claimsOf('a'), [claim('a')])

  t.ok(await conversations.claim(claim('a', 11)), 'its own claim, of which it does not know, is no obstacle')
  await conversations.endConversation(claim('a', 10), 'full', 50)
  t.equal(await conversations.moveUpstream(claim('a', 10), { conversationId: 'late' }, 50), false)
  t.equal(await conversations.answer(claim('a', 10), answered(0)), false)
  t.match(
    await conversations.get('c'),
    { askedBy: 'a', state: 'open', nextInvocation: 0, upstream: { conversationId: 'up' } },
    'nothing that belongs to the claim before has an effect'
  )
  t.equal(await conversations.moveUpstream(claim('a', 11), { conversationId: 'moved' }, 51), true)
  t.match(await conversations.get('c'), { upstream: { conversationId: 'moved' }, updatedAt: 51 })

  await conversations.endConversation(claim('a', 11), 'full', 52)
  t.match(await conversations.get('c'), { askedBy: null, state: 'full', updatedAt: 52 })
  await conversations.claim(claim('b'))
  await conversations.unclaimAll('b')
  t.match(await conversations.get('c'), { askedBy: null, updatedAt: 52 })
  t.strictSame(await conversations.claimsOf('b'), [])
})

onBothEngines(t, 'a turn is answered once', async (t, { store }) => {
  const conversations = createConversationStore(store)
  await conversations.insert(conversation('c'))
  const other = {
    message: 'another answer',
    sources: [],
    suggestions: [],
    turns: undefined,
    notice: undefined
  }

  await conversations.claim(claim('a'))
  await conversations.unclaimAll('a')
  t.equal(await conversations.answer(claim('a'), answered(0)), true, 'nobody has asked since')
  t.equal(await conversations.answer(claim('a'), answered(0)), true, 'a repeat finds its own answer')
  t.equal(await conversations.answer(claim('b'), answered(0, { answer: other, answeredAt: 30 })), false)

  await conversations.claim(claim('a', 12))
  await conversations.unclaimAll('a')
  await conversations.claim(claim('b', 13))
  t.equal(await conversations.answer(claim('a', 12), answered(1)), false, 'somebody else is asking it')
  t.equal(await conversations.answer(claim('b', 13), answered(1, { answer: other })), true)
  t.equal(await conversations.answer(claim('a', 12), answered(1)), false, 'somebody else has answered it')
  t.match(
    (await conversations.turns('c')).map(({ answer }) => answer.message),
    ['answer 0', 'another answer']
  )
  t.equal((await conversations.get('c'))?.nextInvocation, 2)

  t.equal(await conversations.answer({ ...claim('a'), conversationId: 'gone' }, answered(0)), false)
})

onBothEngines(t, 'pages of the newest', async (t, { store }) => {
  const conversations = createConversationStore(store)
  const ids = Array.from({ length: 7 }, () => randomUUID())
  for (const [n, id] of ids.entries())
    await conversations.insert(conversation(id, { createdAt: n < 5 ? 7 : 8 }))
  await conversations.insert(conversation('other', { owner: 'bob', createdAt: 9 }))
  const first = { ...claim('w'), conversationId: ids[0] as string }
  await conversations.claim(first)
  await conversations.answer(first, answered(0, { prompt: `👍${'x'.repeat(300)}` }))

  const seen = []
  let after: { createdAt: number; id: string } | undefined
  for (let n = 0; n < 4; n++) {
    const page = await conversations.list('alice', { limit: 2, after })
    t.equal(page.length, n < 3 ? 2 : 1)
    seen.push(...page)
    after = page.at(-1)
  }
  t.strictSame(await conversations.list('alice', { limit: 2, after }), [])
  t.strictSame(seen.map(({ id }) => id).sort(), [...ids].sort(), 'each one once')
  t.strictSame(
    seen.slice(0, 2).map(({ createdAt }) => createdAt),
    [8, 8]
  )
  const opened = seen.find(({ id }) => id === ids[0])
  t.match(opened, { nextInvocation: 1, opening: `👍${'x'.repeat(199)}` })
  t.equal(seen.filter(({ opening }) => opening === null).length, 6)
  t.match(await conversations.list('bob', { limit: 9 }), [{ id: 'other' }])
})

onBothEngines(t, 'what is removed is gone, with its turns', async (t, { store }) => {
  const conversations = createConversationStore(store)
  await conversations.insert(conversation('c'))
  await conversations.claim(claim('w'))
  await conversations.answer(claim('w'), answered(0))

  t.equal(await conversations.remove('c', 'bob'), false)
  t.equal(await conversations.remove('c\0', 'alice'), false)
  await conversations.claim(claim('w', 11))
  t.equal(await conversations.remove('c', 'alice'), false, 'a turn is under way')
  await conversations.unclaimAll('w')
  t.equal(await conversations.remove('c', 'alice'), true)
  t.equal(await conversations.remove('c', 'alice'), false)
  t.equal(await conversations.get('c'), undefined)
  t.strictSame(await store.db.selectFrom('turns').selectAll().execute(), [])
})

onBothEngines(t, 'a first turn that nobody knows the end of is in doubt', async (t, { store }) => {
  const conversations = createConversationStore(store)
  await conversations.insert(conversation('c'))
  const inDoubt = async () => (await conversations.get('c'))?.inDoubt
  await conversations.claim(claim('a'))
  await conversations.unclaim(claim('a'))
  t.equal(await inDoubt(), false, 'given back')
  await conversations.claim(claim('a'))
  await conversations.unclaimAll('a')
  t.equal(await inDoubt(), true, 'its worker has ended')
  t.match(await conversations.claim(claim('b')), { inDoubt: true })
  await conversations.moveUpstream(claim('b'), { conversationId: 'fresh' }, 1)
  t.equal(await inDoubt(), false, 'it goes to a fresh conversation')
  await conversations.unclaim(claim('b'), true)
  t.equal(await inDoubt(), true, 'broken off')
  await conversations.claim(claim('b'))
  await conversations.answer(claim('b'), answered(0))
  t.equal(await inDoubt(), false, 'answered')
  await conversations.claim(claim('b'))
  await conversations.unclaimAll('b')
  t.equal(await inDoubt(), false, 'later turns begin no session')
})
