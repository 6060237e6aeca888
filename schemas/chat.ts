import { type Static, Type } from '@sinclair/typebox'
import { StringEnum } from './common.ts'

export const CreateConversationRequestSchema = Type.Object(
  {
    userId: Type.String({
      minLength: 1,
      description: 'A userId from the whitelist.',
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
    tone: Type.Optional(
      StringEnum(['creative', 'balanced', 'precise'] as const, {
        description: "Bing's conversation style.",
        examples: ['balanced']
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

export const ChatAnswerSchema = Type.Object(
  {
    message: Type.String({ description: 'The answer, Markdown.', examples: ['A great trilogy!'] }),
    conversationId,
    invocationId: Type.Integer({
      description: "One plus this turn's number: what the next turn carries.",
      examples: [1]
    }),
    sources: Type.Optional(
      Type.Array(Type.Unsafe<Static<typeof SourceSchema>>({ $ref: 'Source#' }), {
        description: 'Pages that the answer rests on.'
      })
    ),
    suggestions: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Prompts that the upstream proposes for the next turn.',
        examples: [['Who wrote it?']]
      })
    ),
    turns: Type.Optional(
      Type.Object(
        { used: Type.Integer({ examples: [1] }), max: Type.Integer({ examples: [30] }) },
        { description: 'Turns of this conversation, as the upstream counts them.' }
      )
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
