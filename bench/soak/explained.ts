/** Which errors the injected faults can lead to; any other one is the gateway's own. */
import type { Simulator } from '../../src/simulator/index.ts'

/**
 * Codes of faults that strike no prompt by name (connections, conversation starts, landing pages), of circuits that they
 * open, and of the episodes: they may come to anybody at any time.
 */
const ANYBODY = new Set([
  ...[
    'unreachable',
    'region_blocked',
    'timeout',
    'throttled',
    'upstream_5xx',
    'unexpected_page',
    'bad_payload'
  ],
  ...['upstream_internal', 'upstream_rejected', 'SomethingNew', 'something-new', 'ip_blocked', 'hub_refused'],
  ...[
    'hub_closed',
    'handshake_timeout',
    'handshake_rejected',
    'answer_truncated',
    'outage',
    'outcome_unknown'
  ],
  ...['cookie_expired', 'captcha_required', 'challenge_required', 'turn_in_progress'],
  // Row W9: from a long conversation, a hub that closes before it answers means that the context is too long.
  'context_too_long',
  ...[
    'session_expired',
    'token_invalid',
    'client_refused',
    'account_blocked',
    'quota_exhausted',
    'protocol_error'
  ]
])

const CLOSED = ['conversation_closed', 'conversation_full']
const POLICY = ['content_policy', 'under_review', 'unsafe_result']

/** Codes of faults that strike one prompt, by the fault's name. */
const BY_FAULT: Record<string, readonly string[]> = {
  'invalid-session': ['conversation_expired'],
  'token-expired': ['conversation_expired'],
  'context-length': ['context_too_long'],
  'apology-before': ['content_filtered'],
  'apology-after': ['content_filtered'],
  'echo-last': ['content_filtered'],
  offense: ['content_filtered'],
  'topic-changer': ['content_filtered'],
  'no-bot-message': ['no_answer', 'content_filtered'],
  disengaged: CLOSED,
  'disengaged-after-text': CLOSED,
  'farewell-limit': CLOSED,
  'farewell-move-on': CLOSED,
  'completion-only': ['no_answer'],
  'completion-error': ['no_answer'],
  'done-without-text': ['no_answer'],
  'text-too-long': ['prompt_too_long'],
  'start-page': ['not_accepted'],
  'strange-page': ['not_accepted', 'no_images', 'creation_failed'],
  garbage: ['not_accepted', 'no_images', 'creation_failed'],
  'content-policy': POLICY,
  blocked: POLICY,
  'under-review': POLICY,
  'unsafe-image': POLICY,
  'unsafe-result': POLICY,
  'bad-unsafe': POLICY,
  'no-scheme': [...POLICY, 'no_images'],
  'no-images': ['no_images'],
  language: ['language_unsupported'],
  'short-prompt': ['prompt_too_short'],
  ongoing: ['too_many_jobs'],
  concurrent: ['too_many_jobs'],
  'too-fast': ['too_many_jobs'],
  'no-coins': ['fast_quota_exhausted'],
  'high-demand': ['overloaded'],
  'bad-overloaded': ['overloaded'],
  problem: ['creation_failed'],
  failed: ['creation_failed'],
  'went-wrong': ['creation_failed'],
  'no-film': ['bad_payload', 'creation_failed'],
  'not-found': ['upstream_rejected']
}

export interface Explanations {
  /** Whether an error can come of what was done to these prompts. */
  isExplained(code: string | null, prompts: Iterable<string>): boolean
  /** Names of the faults that struck a prompt, in their order. */
  faultsOn(prompt: string): readonly string[]
}

export function explain(sim: Simulator): Explanations {
  const byPrompt = new Map<string, string[]>()
  let read = 0

  function faultsOn(prompt: string): readonly string[] {
    for (; read < sim.faults.length; read++) {
      const { about, fault } = sim.faults[read] as (typeof sim.faults)[number]
      if (about === '') continue
      const list = byPrompt.get(about)
      if (list === undefined) byPrompt.set(about, [fault])
      else list.push(fault)
    }
    return byPrompt.get(prompt) ?? []
  }

  return {
    faultsOn,
    isExplained(code, prompts) {
      if (code === null) return false
      if (ANYBODY.has(code)) return true
      for (const prompt of prompts)
        if (faultsOn(prompt).some((fault) => BY_FAULT[fault]?.includes(code))) return true
      return false
    }
  }
}
