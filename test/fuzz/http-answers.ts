import { gzipSync } from 'node:zlib'

const head = (status: string, headers: Record<string, string>, body: string | Buffer): Buffer => {
  const bytes = Buffer.from(body)
  const fields = { 'content-length': String(bytes.length), ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`)
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join('\r\n')}\r\n\r\n`), bytes])
}
const json = { 'content-type': 'application/json' }
const created = JSON.stringify({
  conversationId: '51D|BingProdUnAuthenticatedUsers|ABC',
  clientId: '914700000000001',
  conversationSignature: null,
  result: { value: 'Success', message: null }
})
const signed = created.replace('null', '"c2lnbmF0dXJl"')

/** Answers to the call that creates a conversation, byte by byte as they stand on the wire. */
export const CREATE_ANSWERS: readonly Buffer[] = [
  head(
    '200 OK',
    {
      ...json,
      'X-Sydney-ConversationSignature': 'c2lnbmF0dXJl',
      'X-Sydney-EncryptedConversationSignature': 'dG9rZW4=',
      'set-cookie': '_EDGE_S=1; domain=.bing.com; path=/'
    },
    created
  ),
  head('200 OK', { ...json, 'content-encoding': 'gzip' }, gzipSync(signed)),
  head('200 OK', json, signed),
  head(
    '200 OK',
    json,
    JSON.stringify({ result: { value: 'UnauthorizedRequest', message: 'need to login first' } })
  ),
  head('200 OK', json, ''),
  head('302 Found', { location: '/fd/auth/signin?x=1' }, ''),
  head('301 Moved', { location: 'https://cn.bing.com/?form=REDIRERR' }, ''),
  head('302 Found', { location: '/turing/conversation/create?again=1' }, ''),
  head('429 Too Many Requests', { 'retry-after': '60' }, ''),
  head('503 Unavailable', { 'retry-after': 'Thu, 01 Jan 2026 00:00:00 GMT' }, '<html>no</html>'),
  head('403 Forbidden', { 'content-type': 'text/html' }, '<!doctype html><title>Just a moment</title>'),
  Buffer.from(
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n' +
      `${signed.length.toString(16)}\r\n${signed}\r\n0\r\n\r\n`
  )
]

export const HTTP_WORDS: readonly string[] = [
  '\r\n',
  '\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'content-length: 5\r\n',
  'content-length: -1\r\n',
  'content-length: 99999999999999999999\r\n',
  'transfer-encoding: chunked\r\n',
  'content-encoding: gzip\r\n',
  'content-encoding: br, deflate, gzip, gzip\r\n',
  'location: http://[::1\r\n',
  'location: //\r\n',
  'location: javascript:alert(1)\r\n',
  'retry-after: 1e99\r\n',
  'retry-after: -5\r\n',
  'set-cookie: =;;;domain=com\r\n',
  'set-cookie: __proto__=1; path=/\r\n',
  'connection: close\r\n',
  'ffffffffffffffff\r\n',
  '{"result":{"value":',
  'null',
  '\0',
  '\xff'
]
