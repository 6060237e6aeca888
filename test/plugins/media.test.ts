import { appendFileSync } from 'node:fs'
const out = (...a: unknown[]) => appendFileSync('/tmp/mediascratch/out.txt', a.map((x) => typeof x === 'string' ? x : JSON.stringify(x, null, 1)).join(' ') + '\n')
import t from 'tap'
import { startGateway } from '../support/gateway.ts'
t.test('quick', async (t) => {
  const g = await startGateway(t)
  const made = await g.post('/create/image', { query: 'a fox' }, { host: 'localhost' })
  out(made.status, JSON.stringify(made.json, null, 1))
  const url = made.json.data.media[0].url.replace('http://localhost', '')
  for (const [method, headers] of [['GET', {}], ['HEAD', {}], ['GET', { range: 'bytes=0-3' }], ['GET', {range: 'bytes=99999999-'}]] as const) {
    const r = await g.app.inject({ method, url, headers })
    out(method, r.statusCode, r.headers, r.rawPayload.length)
  }
  out(g.log().split('\n').filter(l => /"level":(4|5)/.test(l)).join('\n'))
})
