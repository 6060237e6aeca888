import { type Exchange, type Frame, playFaults, sendHtml, sendJson } from '../frame.ts'
import type { CreateBehaviour, CreateFailure } from './behaviour.ts'
import type { Conversations } from './conversations.ts'

/** Both paths of docs/protocol/chat-sydney.md section 2. */
const PATHS = ['/turing/conversation/create', '/edgesvc/turing/conversation/create']

type Refusal = { value: string; message: string }

/** Failures that are a JSON answer with status 200. */
const REFUSALS: Partial<Record<CreateFailure, Refusal>> = {
  unauthorized: {
    value: 'UnauthorizedRequest',
    message: 'Sorry, you need to login first to access this service.'
  },
  'user-status': { value: 'UnauthorizedRequest', message: 'Cannot retrieve user status.' },
  forbidden: { value: 'Forbidden', message: 'Sorry, you are not allowed to access this service.' },
  internal: { value: 'InternalServerError', message: 'Error processing request.' },
  'challenge-message': { value: 'CaptchaChallenge', message: 'Please pass Cloudflare check to continue.' },
  'no-ids': { value: 'Success', message: '' }
}

function refuse({ res }: Exchange, { value, message }: Refusal): void {
  sendJson(res, 200, {
    conversationId: null,
    clientId: null,
    conversationSignature: null,
    result: { value, message: message === '' ? null : message }
  })
}

/** Plays a failure that is not JSON. Returns `false` for those that are. */
function playPage({ res, url }: Exchange, failure: CreateFailure): boolean {
  switch (failure) {
    case 'empty':
      res.writeHead(200, { 'content-length': '0' }).end()
      return true
    case 'html':
      sendHtml(res, 200, '<!doctype html><title>Bing</title><p>This page is not available right now.</p>')
      return true
    case 'not-json':
      res.writeHead(200, { 'content-type': 'application/json' }).end('{"conversationId":"51D|BingPr')
      return true
    case 'region':
      res.writeHead(302, { location: 'https://cn.bing.com/turing/conversation/create?form=REDIRERR' }).end()
      return true
    case 'region-loop':
      res.writeHead(302, { location: url.pathname + url.search }).end()
      return true
    case 'login-redirect':
      res.writeHead(302, { location: 'https://login.live.com/login.srf?wa=wsignin1.0' }).end()
      return true
    case 'cloudflare-403':
      sendHtml(res, 403, '<!doctype html><title>Just a moment...</title><p>Checking your browser.</p>', {
        server: 'cloudflare'
      })
      return true
    case 'not-found':
      sendHtml(res, 404, '<!doctype html><title>Not found</title>')
      return true
    default:
      return false
  }
}

function create(
  exchange: Exchange,
  conversations: Conversations,
  behaviour: CreateBehaviour,
  anonymous: boolean
) {
  const conversation = conversations.create({ ...behaviour, anonymous })
  const signed = behaviour.failure !== 'no-signature'
  const headers: Record<string, string> = {}
  if (signed && conversation.token !== null) {
    headers['X-Sydney-ConversationSignature'] = conversation.signature
    headers['X-Sydney-EncryptedConversationSignature'] = conversation.token
  }
  sendJson(
    exchange.res,
    200,
    {
      conversationId: conversation.id,
      clientId: conversation.clientId,
      ...(signed && conversation.token === null ? { conversationSignature: conversation.signature } : {}),
      result: { value: 'Success', message: null }
    },
    headers
  )
}

/** Adds the route that creates conversations. */
export function registerCreate(frame: Frame, conversations: Conversations): void {
  for (const name of ['sydney.create', 'sydney.create.refused']) frame.count(name, 0)

  frame.handle(
    (url) => PATHS.includes(url.pathname),
    async (exchange) => {
      frame.count('sydney.create')
      const behaviour = frame.take('create')
      if (await playFaults(frame, exchange, behaviour)) return

      const refused = (refusal: Refusal) => {
        frame.count('sydney.create.refused')
        refuse(exchange, refusal)
      }
      if (exchange.req.method !== 'GET') {
        frame.violate('chat', 'create-method', `Create was called with ${exchange.req.method}.`)
        return sendJson(exchange.res, 405, { error: 'method not allowed' }, { allow: 'GET' })
      }
      if (behaviour.resultValue !== undefined) {
        return refused({ value: behaviour.resultValue, message: behaviour.resultMessage ?? '' })
      }
      const refusal = REFUSALS[behaviour.failure]
      if (refusal !== undefined) return refused(refusal)
      if (playPage(exchange, behaviour.failure)) return frame.count('sydney.create.refused')

      const signedIn = frame.isSignedIn(exchange.cookies)
      if (!signedIn && !behaviour.anonymous) return refused(REFUSALS.unauthorized as Refusal)
      create(exchange, conversations, behaviour, !signedIn)
    }
  )
}
