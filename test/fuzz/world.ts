import type { Random } from './random.ts'

/** Somebody who calls, and how they say so. */
export interface Person {
  /** The owner of what they make; `undefined`: they are refused. */
  userId: string | undefined
  headers: [string, string][]
}

/** Something that a gateway made, and whose it is. */
export interface Thing {
  owner: string
  id: string
  /** Of a conversation: what its turns carry. */
  credentials?: Record<string, string>
  /** Of a media copy: its signed query. */
  query?: string
}

type Kind = 'conversation' | 'task' | 'media'

/** Things of each kind that are remembered: old ones make place for new ones. */
const REMEMBERED = 12

/** What requests can be about: people, and what the gateway has answered so far. */
export interface World {
  people: readonly Person[]
  things: Record<Kind, Thing[]>
  cursors: string[]
  /** Where webhooks may go. */
  hookUrl: string
  /** Takes in an answer. */
  learn(owner: string, json: unknown): void
  someone(random: Random): Person & { userId: string }
}

export function createWorld(people: readonly Person[], hookUrl: string): World {
  const things: World['things'] = { conversation: [], task: [], media: [] }
  const cursors: string[] = []
  const add = (kind: Kind, thing: Thing) => {
    const list = things[kind]
    if (list.some(({ id }) => id === thing.id)) return
    list.push(thing)
    if (list.length > REMEMBERED) list.shift()
  }
  const known = people.filter((person): person is Person & { userId: string } => person.userId !== undefined)
  return {
    people,
    things,
    cursors,
    hookUrl,
    someone: (random) => random.pick(known),
    learn(owner, json) {
      const answer = json as Record<string, unknown>
      const { conversationId, clientId, conversationSignature } = answer as Record<string, string>
      if (conversationId && clientId && conversationSignature)
        add('conversation', {
          owner,
          id: conversationId,
          credentials: { conversationId, clientId, conversationSignature }
        })
      const data = (answer.data ?? answer) as Record<string, unknown>
      const cursor = answer.nextCursor ?? data.nextCursor
      if (typeof cursor === 'string') {
        cursors.push(cursor)
        if (cursors.length > REMEMBERED) cursors.shift()
      }
      const taskId = data.taskId ?? (data.kind === undefined ? undefined : data.id)
      if (typeof taskId === 'string') add('task', { owner, id: taskId })
      const copies = (Array.isArray(data.media) ? data.media : []) as { url?: string }[]
      for (const { url } of copies) {
        const [, id, query] = /\/media\/(\w+)\?(.*)$/.exec(url ?? '') ?? []
        if (id !== undefined) add('media', { owner, id, query })
      }
    }
  }
}
