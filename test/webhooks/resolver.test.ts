import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { createResolver } from '../../src/webhooks/resolver.ts'

const A = 1
const AAAA = 28

/** Answers of a name server by name and type; a missing one is "no such name", `fails` is SERVFAIL. */
type Zone = Record<string, { [type: number]: number[][] | 'fails' }>

/** A name server with one zone, over UDP (RFC 1035). */
async function startNameServer(t: Test, zone: Zone): Promise<string> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const labels: string[] = []
    let at = 12
    while (query[at] !== 0) {
      const length = query[at] as number
      labels.push(query.toString('latin1', at + 1, at + 1 + length))
      at += length + 1
    }
    const question = query.subarray(12, at + 5)
    const records = zone[labels.join('.')]
    const found = records === undefined ? undefined : (records[query.readUInt16BE(at + 1)] ?? [])
    const answers = Array.isArray(found) ? found : []
    const rcode = found === undefined ? 3 : found === 'fails' ? 2 : 0
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(0x8180 | rcode, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    const body = answers.map((bytes) => {
      const record = Buffer.from([
        0xc0,
        12,
        0,
        bytes.length === 4 ? A : AAAA,
        0,
        1,
        0,
        0,
        0,
        60,
        0,
        bytes.length
      ])
      return Buffer.concat([record, Buffer.from(bytes)])
    })
    socket.send(Buffer.concat([header, question, ...body]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return `127.0.0.1:${socket.address().port}`
}

t.test('addresses of both families count, and one family is enough', async (t) => {
  const loopback = [...Array(15).fill(0), 1]
  const server = await startNameServer(t, {
    'both.test': {
      [A]: [
        [8, 8, 8, 8],
        [10, 0, 0, 1]
      ],
      [AAAA]: [loopback]
    },
    'four.test': { [A]: [[8, 8, 4, 4]] },
    'six.test': { [AAAA]: [loopback], [A]: 'fails' },
    'none.test': {}
  })
  const resolve = createResolver(false, [server])
  t.strictSame(await resolve('both.test'), ['8.8.8.8', '10.0.0.1', '::1'])
  t.strictSame(await resolve('four.test'), ['8.8.4.4'])
  t.strictSame(await resolve('six.test'), ['::1'])
  await t.rejects(resolve('none.test'), { code: 'ENODATA' } as unknown as Error)
  await t.rejects(resolve('unknown.test'), { code: 'ENOTFOUND' } as unknown as Error)
})

t.test('names of the machine count only where they may', async (t) => {
  const server = await startNameServer(t, {})
  // This name server doesn't know the name; the machine does.
  await t.rejects(createResolver(false, [server])('localhost'), {
    code: 'ENOTFOUND'
  } as unknown as Error)
  const known = await createResolver(true, [server])('localhost')
  t.ok(known.every((address) => ['127.0.0.1', '::1'].includes(address)))
})
