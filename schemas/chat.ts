import { type Static, Type } from '@sinclair/typebox'
import { Nullable, StringEnum, timestamp } from './common.ts'
import { nextCursor } from './page.ts'

export const CreateConversationRequestSchema = Type.Object(
  {
    userId: Type.String({
      minLength: 1,
      description: 'A userId from the whitelist; with an API key, its owner.',
      examples: ['OlivierShi']
    })
  },
  { $id: 'CreateConversationRequest', examples: [{ userId: 'OlivierShi' }] }
)

const conversationId = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'Names the conversation.',
  examples: ['6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c']
})
const clientId = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'Names the client of the conversation.',
  examples: ['914700000000001']
})
const conversationSignature = Type.String({
  minLength: 1,
  maxLength: 2048,
  description: 'Proves that the caller may continue the conversation. Keep it secret.',
  examples: ['q0S1xV7Yk0h1mJmWq3sQyY5yVQm4oYzv8r5sJ1yQdXo']
})

export const ConversationSchema = Type.Object(
  {
    conversationId,
    clientId,
    conversationSignature,
    invocationId: Type.Integer({ minimum: 0, description: 'Number of the first turn.', examples: [0] })
  },
  {
    $id: 'Conversation',
    description: 'The conversation. Keep all of it: every turn needs it.',
    examples: [
      {
        conversationId: '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c',
        clientId: '914700000000001',
        conversationSignature: 'q0S1xV7Yk0h1mJmWq3sQyY5yVQm4oYzv8r5sJ1yQdXo',
        invocationId: 0
      }
    ]
  }
)
export type Conversation = Static<typeof ConversationSchema>

const tone = StringEnum(['creative', 'balanced', 'precise'] as const, {
  description: "Bing's conversation style.",
  examples: ['balanced']
})

export const ChatRequestSchema = Type.Object(
  {
    prompt: Type.String({ minLength: 1, description: 'The question.', examples: ['I love Three-Body.'] }),
    conversationId,
    clientId,
    conversationSignature,
    invocationId: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        description:
          'Number of this turn: 0 for the first one, then what the last answer returned. Left out, it is the next one. The number of the last answered turn with the same prompt returns the stored answer again.',
        examples: [0]
      })
    ),
    tone: Type.Optional(tone),
    stream: Type.Optional(
      Type.Boolean({
        description:
          'Answer with server-sent events as the text is written. So does `Accept: text/event-stream`.',
        examples: [true]
      })
    )
  },
  {
    $id: 'ChatRequest',
    examples: [
      {
        prompt: 'I love Three-Body.',
        conversationId: '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c',
        clientId: '914700000000001',
        conversationSignature: 'q0S1xV7Yk0h1mJmWq3sQyY5yVQm4oYzv8r5sJ1yQdXo',
        invocationId: 0
      }
    ]
  }
)
export type ChatRequest = Static<typeof ChatRequestSchema>

export const SourceSchema = Type.Object(
  {
    title: Type.String({ examples: ['Harbour tower'] }),
    url: Type.String({ examples: ['https://harbour.example/tower'] })
  },
  { $id: 'Source', description: 'A page that an answer rests on.' }
)

export const AttachmentSchema = Type.Object(
  {
    type: StringEnum(['image'] as const, { examples: ['image'] }),
    url: Type.String({
      format: 'uri',
      description:
        "Signed address of the gateway's own copy, valid for a day; reading the conversation gives a new one. The upstream's own address where no copy could be made.",
      examples: ['http://127.0.0.1:7860/media/0f343b0931126a20f133d67c2b018a3b?exp=1767355200&sig=bWFjLi4u']
    }),
    prompt: Type.Optional(
      Type.String({ description: 'What it was drawn from.', examples: ['A lighthouse at dusk'] })
    ),
    preview: Type.Optional(
      Type.Boolean({
        description: 'The final picture never came, or is gone: this is its last preview.',
        examples: [true]
      })
    ),
    width: Type.Optional(
      Nullable(Type.Integer(), { description: 'Pixels of the copy, as the bytes say.', examples: [1024] })
    ),
    height: Type.Optional(
      Nullable(Type.Integer(), { description: 'Pixels of the copy, as the bytes say.', examples: [1024] })
    ),
    contentType: Type.Optional(Type.String({ description: 'Of the copy.', examples: ['image/png'] }))
  },
  { $id: 'Attachment', description: 'A picture that was drawn for an answer.' }
)
export type Attachment = Static<typeof AttachmentSchema>

const message = Type.String({
  description:
    'The answer, Markdown. Where it has attachments and no text, these as Markdown images, a line each.',
  examples: ['A great trilogy!']
})
/** What an answer and a stored turn show beside it. */
const beside = {
  sources: Type.Optional(
    Type.Array(Type.Unsafe<Static<typeof SourceSchema>>({ $ref: 'Source#' }), {
      description: 'Pages that the answer rests on.'
    })
  ),
  attachments: Type.Optional(
    Type.Array(Type.Unsafe<Attachment>({ $ref: 'Attachment#' }), {
      description: 'Pictures that were drawn for the answer.'
    })
  ),
  suggestions: Type.Optional(
    Type.Array(Type.String(), {
      description: 'Prompts that the upstream proposes for the next turn.',
      examples: [['Who wrote it?']]
    })
  ),
  truncated: Type.Optional(
    Type.Boolean({ description: 'The text is not the whole answer; `notice` says why.', examples: [true] })
  ),
  notice: Type.Optional(
    StringEnum(['answer_truncated', 'answer_revoked'] as const, {
      description:
        '`answer_truncated`: the upstream broke off. `answer_revoked`: it withdrew what it had said.',
      examples: ['answer_truncated']
    })
  )
}

export const ChatAnswerSchema = Type.Object(
  {
    message,
    conversationId,
    invocationId: Type.Integer({
      description: "One plus this turn's number: what the next turn carries.",
      examples: [1]
    }),
    turns: Type.Optional(
      Type.Object(
        { used: Type.Integer({ examples: [1] }), max: Type.Integer({ examples: [30] }) },
        { description: 'Turns of this conversation, as the upstream counts them.' }
      )
    ),
    ...beside
  },
  {
    $id: 'ChatAnswer',
    description: 'The answer.',
    examples: [
      {
        message: 'A great trilogy! Which of the three books is your favourite?',
        conversationId: '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c',
        invocationId: 1,
        sources: [{ title: 'Harbour tower', url: 'https://harbour.example/tower' }],
        suggestions: ['Who wrote it?'],
        turns: { used: 1, max: 30 }
      }
    ]
  }
)
export type ChatAnswer = Static<typeof ChatAnswerSchema>

/** The answer as a stream. Events have no schema of their own in OpenAPI 3.1, so they are described. */
export const ChatEventsSchema = Type.String({
  description: [
    'Server-sent events. The data of each is one line of JSON.',
    '- `delta`: `{"text"}`, what is new of the text.',
    '- `replace`: `{"text"}`, in place of all text before it: the upstream has rewritten what it had said.',
    '- `done`: the object of the plain answer. It is stored by then. The last event.',
    '- `error`: the body of an error answer; what was said so far is not an answer. The last event, in place of `done`.',
    'The text of the last `replace` and of the deltas after it is `message`. A failure before the first event is an HTTP error, not an event. A comment line is sent when nothing else was for 15 s.'
  ].join('\n'),
  examples: [
    [
      'event: delta\ndata: {"text":"A great trilogy!"}\n\n',
      'event: delta\ndata: {"text":" Which of the three books is your favourite?"}\n\n',
      'event: done\ndata: {"message":"A great trilogy! Which of the three books is your favourite?","conversationId":"6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c","invocationId":1}\n\n'
    ].join('')
  ]
})

export const ConversationParamsSchema = Type.Object({ conversationId })

const summary = {
  conversationId,
  title: Nullable(Type.String(), {
    description: 'The start of the first question; null before the first answer.',
    examples: ['I love Three-Body.']
  }),
  state: StringEnum(['open', 'full', 'expired'] as const, {
    description:
      '`full`: no turns are left in it. `expired`: Bing has forgotten it. Neither can be continued.',
    examples: ['open']
  }),
  turnCount: Type.Integer({
    minimum: 0,
    description: 'Answered turns; also the `invocationId` of the next one.',
    examples: [1]
  }),
  createdAt: timestamp(),
  updatedAt: timestamp({ description: 'When it was answered last, or created.' })
}

export const ConversationSummarySchema = Type.Object(summary, {
  $id: 'ConversationSummary',
  description: 'A conversation as a list shows it.'
})
export type ConversationSummary = Static<typeof ConversationSummarySchema>

export const ConversationTurnSchema = Type.Object(
  {
    invocationId: Type.Integer({
      minimum: 0,
      description: 'Number of the turn, as its question carried it.',
      examples: [0]
    }),
    prompt: Type.String({ description: 'The question.', examples: ['I love Three-Body.'] }),
    tone: Type.Optional(tone),
    message,
    ...beside,
    askedAt: timestamp(),
    answeredAt: timestamp({ examples: ['2026-01-01T12:00:04.000Z'] })
  },
  { $id: 'ConversationTurn', description: 'An answered question.' }
)
export type ConversationTurn = Static<typeof ConversationTurnSchema>

const SUMMARY_EXAMPLE = {
  conversationId: '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c',
  title: 'I love Three-Body.',
  state: 'open',
  turnCount: 1,
  createdAt: '2026-01-01T11:59:58.000Z',
  updatedAt: '2026-01-01T12:00:04.000Z'
}

export const ConversationDetailsSchema = Type.Object(
  {
    ...summary,
    turns: Type.Array(Type.Unsafe<ConversationTurn>({ $ref: 'ConversationTurn#' }), {
      description: 'The answered turns, the first one first.'
    })
  },
  {
    $id: 'ConversationDetails',
    description: 'A conversation with its turns.',
    examples: [
      {
        ...SUMMARY_EXAMPLE,
        turns: [
          {
            invocationId: 0,
            prompt: 'I love Three-Body.',
            tone: 'balanced',
            message: 'A great trilogy! Which of the three books is your favourite?',
            suggestions: ['Who wrote it?'],
            askedAt: '2026-01-01T12:00:00.000Z',
            answeredAt: '2026-01-01T12:00:04.000Z'
          }
        ]
      }
    ]
  }
)
export type ConversationDetails = Static<typeof ConversationDetailsSchema>

export const ConversationListSchema = Type.Object(
  {
    conversations: Type.Array(Type.Unsafe<ConversationSummary>({ $ref: 'ConversationSummary#' }), {
      description: 'A page of conversations, the newest first.'
    }),
    nextCursor
  },
  {
    $id: 'ConversationList',
    description: 'A page of conversations.',
    examples: [{ conversations: [SUMMARY_EXAMPLE], nextCursor: null }]
  }
)
