import type { FastifyInstance } from 'fastify'
import type { ChatClient } from '../../src/upstream/chat-client.ts'
import { createCopilotClient } from '../../src/upstream/copilot/client.ts'
import * as copilot from '../../src/upstream/copilot/constants.ts'
import type { FailureId } from '../../src/upstream/failures.ts'
import type { UpstreamName } from '../../src/upstream/session-state.ts'
import { createSydneyClient } from '../../src/upstream/sydney/client.ts'
import * as sydney from '../../src/upstream/sydney/constants.ts'

/** The chat protocol in use, and what differs between them for who uses one. */
export interface ChatUpstream {
  kind: UpstreamName & ('sydney' | 'copilot')
  client: ChatClient
  url: string
  /** Version of what is known of the protocol, for the log. */
  constants: string
  maxPromptChars: number
  /** What a call that takes too long is. */
  timeoutRow: FailureId
  /** Turns and starts at once; 0: any number. */
  concurrency: number
  /** Questions a minute; 0: any number. */
  turnsPerMinute: number
}

/** @param onUnknown told of each kind of message that the client doesn't know */
export function createChatUpstream(
  { config, clock, upstream, log }: FastifyInstance,
  onUnknown: (kind: string) => void
): ChatUpstream {
  const proxy = { httpsProxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY }
  if (upstream.copilot !== undefined) {
    const client = createCopilotClient({
      baseUrl: config.COPILOT_URL,
      account: upstream.copilot.account,
      http: upstream.copilot.http,
      tokenOnHttp: config.COPILOT_TOKEN_ON_HTTP,
      identityType: config.COPILOT_IDENTITY_TYPE,
      proxy,
      clock,
      onUnknown,
      log
    })
    upstream.probeWith('copilot', client.check)
    return {
      kind: 'copilot',
      client,
      url: config.COPILOT_URL,
      constants: copilot.CONSTANTS_VERSION,
      maxPromptChars: copilot.MAX_PROMPT_CHARS,
      timeoutRow: 'P18',
      concurrency: lower(config.CHAT_CONCURRENCY, config.COPILOT_CONCURRENCY),
      turnsPerMinute: config.COPILOT_TURNS_PER_MINUTE
    }
  }
  return {
    kind: 'sydney',
    client: createSydneyClient({
      bingUrl: config.BING_URL,
      chatUrl: config.BING_CHAT_URL,
      account: upstream.account,
      http: upstream.http,
      proxy,
      clock,
      warm: { sockets: config.CHAT_WARM_SOCKETS },
      onUnknown,
      log
    }),
    url: config.BING_CHAT_URL,
    constants: sydney.CONSTANTS_VERSION,
    maxPromptChars: sydney.MAX_PROMPT_CHARS,
    timeoutRow: 'W10',
    concurrency: config.CHAT_CONCURRENCY,
    turnsPerMinute: 0
  }
}

/** The lower of two limits, of which 0 is none. */
function lower(a: number, b: number): number {
  return a === 0 || b === 0 ? a + b : Math.min(a, b)
}
