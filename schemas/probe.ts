import { Type } from '@sinclair/typebox'
import { StringEnum } from './common.ts'

export const LivenessSchema = Type.Object(
  { status: Type.Literal('ok') },
  {
    $id: 'Liveness',
    description: 'The process lives.',
    examples: [{ status: 'ok' }]
  }
)

const ACCOUNT_STATES = ['ok', 'missing', 'expired', 'challenged', 'forbidden'] as const

export const ReadinessSchema = Type.Object(
  {
    status: StringEnum(['ok', 'degraded', 'unavailable'] as const, {
      description:
        '`degraded`: serves stored results, but a person must do something about the account. `unavailable`: send no requests.',
      examples: ['ok']
    }),
    checks: Type.Object({
      store: StringEnum(['ok', 'unreachable'] as const, { examples: ['ok'] }),
      draining: Type.Boolean({ examples: [false] }),
      cookie: StringEnum(ACCOUNT_STATES, {
        description:
          'What Microsoft makes of the account that the `_U` cookie belongs to. `GET /health` says what to do about it.',
        examples: ['ok']
      }),
      copilot: Type.Optional(
        StringEnum(ACCOUNT_STATES, {
          description: 'The same of the account at Copilot, where `CHAT_UPSTREAM` is `copilot`.',
          examples: ['ok']
        })
      )
    })
  },
  {
    $id: 'Readiness',
    description: 'Requests may be sent here.',
    examples: [{ status: 'ok', checks: { store: 'ok', draining: false, cookie: 'ok' } }]
  }
)
