import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { FastifyInstance, InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { createClock } from '../../src/clock.ts'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { createKeyStore } from '../../src/store/key-store.ts'
import { COOKIE, type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { S3_KEY, startS3, startWire } from '../support/s3.ts'

const HOUR = 3_600_000
const ALICE = { 'x-user-id': 'alice' }

interface Item {
  url: string
  width: number
  height: number
  contentType: string
}

/** A gateway in which alice has made pictures. */
async function withPictures(t: Test, options: GatewayOptions = {}) {
  const gateway = await startGateway(t, options)
  const { taskId, media } = await create(gateway)
  const [first] = media as [Item, ...Item[]]
  const { pathname, search } = new URL(first.url)
  return { ...gateway, gateway, taskId, media, first, bare: pathname, signed: `${pathname}${search}` }
}

async function create(gateway: Gateway): Promise<{ taskId: string; media: Item[] }> {
  const made = await gateway.post('/create/image', { query: 'a fox', aspect: 'PORTRAIT' }, ALICE)
  if (made.status !== 200) throw new Error(`create answered ${made.status}: ${made.text}`)
  return made.json.data
}

const ask = (
  app: FastifyInstance,
  url: string,
  headers: InjectOptions['headers'] = {},
  method: 'GET' | 'HEAD' | 'DELETE' = 'GET'
) => app.inject({ method, url, headers })

t.test('finished pictures and videos are listed with their copies', async (t) => {
  const { gateway, app, media, taskId } = await withPictures(t)
  t.equal(media.length, 4)
  const task = (await gateway.get(`/task/${taskId}`, ALICE)).json.data
  t.strictSame(task.media, media, 'the same in the task, signature included')
  t.strictSame((await gateway.get('/tasks', ALICE)).json.data.tasks[0].media, media)
  for (const item of media) {
    t.match(item, { width: 1024, height: 1792, contentType: 'image/jpeg' })
    t.match(item.url, /^http:\/\/localhost:80\/media\/[0-9a-f]{32}\?exp=\d{10}&sig=[\w-]{43}$/)
    t.equal((await ask(app, item.url.replace(/^http:\/\/[^/]+/, ''))).headers['content-type'], 'image/jpeg')
  }
  const video = (await gateway.post('/create/video', { query: 'waves' }, ALICE)).json.data
  const ended = await gateway.ended(video.taskId, ALICE)
  const [film] = ended.media as Item[]
  t.match(film, { contentType: 'video/mp4' })
  t.strictSame([film?.width, film?.height].sort(), [270, 480])
})

t.test('serves whole files and parts of them', async (t) => {
  const { app, signed, bare } = await withPictures(t)
  const whole = await ask(app, signed)
  const size = whole.rawPayload.length
  t.equal(whole.statusCode, 200)
  t.equal(whole.rawPayload.toString('hex', 0, 3), 'ffd8ff')
  const etag = whole.headers.etag as string
  const headers = {
    'content-type': 'image/jpeg',
    'content-length': String(size),
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
    'content-disposition': /^inline; filename="bing-[0-9a-f]{8}\.jpg"$/,
    'content-security-policy': /^default-src 'none';.*; sandbox$/,
    'cross-origin-resource-policy': 'cross-origin',
    'access-control-allow-origin': '*',
    etag: /^"[0-9a-f]{64}"$/
  }
  t.match(whole.headers, headers)
  const head = await ask(app, signed, { range: 'bytes=0-1' }, 'HEAD')
  t.strictSame([head.statusCode, head.rawPayload.length], [200, 0])
  t.match(head.headers, headers, 'HEAD says the same')
  t.strictSame((await ask(app, bare, ALICE)).rawPayload, whole.rawPayload, 'its owner needs no signature')

  for (const [range, from, to] of [
    ['bytes=0-3', 0, 3],
    ['bytes=100-', 100, size - 1],
    ['bytes=-5', size - 5, size - 1],
    [`bytes=0-${size * 2}`, 0, size - 1]
  ] as const) {
    const part = await ask(app, signed, { range })
    t.equal(part.statusCode, 206, range)
    t.equal(part.headers['content-range'], `bytes ${from}-${to}/${size}`)
    t.equal(part.headers['content-length'], String(to - from + 1))
    t.strictSame(part.rawPayload, whole.rawPayload.subarray(from, to + 1))
  }
  for (const [more, status, length] of [
    [{ range: 'bytes=0-1,4-5' }, 200, size],
    [{ range: 'bytes=5-1' }, 200, size],
    [{ range: 'lines=1-2' }, 200, size],
    [{ range: 'bytes=0-1', 'if-range': etag }, 206, 2],
    [{ range: 'bytes=0-1', 'if-range': '"old"' }, 200, size],
    [{ 'if-none-match': etag }, 304, 0],
    [{ 'if-none-match': `"old", W/${etag}`, range: 'bytes=0-1' }, 304, 0],
    [{ 'if-none-match': '"old"' }, 200, size]
  ] as const) {
    const answer = await ask(app, signed, more)
    t.strictSame([answer.statusCode, answer.rawPayload.length], [status, length], JSON.stringify(more))
    t.equal(answer.headers['content-length'], status === 304 ? undefined : String(length))
    t.equal(answer.headers.etag, etag)
  }
  const beyond = await ask(app, signed, { range: `bytes=${size}-` })
  t.equal(beyond.statusCode, 416)
  t.equal(beyond.headers['content-range'], `bytes */${size}`)
  t.equal(beyond.json().error.type, 'invalid_request_error')
  t.notOk(beyond.headers['cache-control'], 'a failure is not kept for a year')
})

t.test('a signature stands for the owner until it ends', async (t) => {
  let ahead = 0
  const clock = { ...createClock(1), now: () => Date.now() + ahead }
  const options = { clock, config: { ALLOW_ANONYMOUS: false } }
  const { gateway, app, taskId, bare, signed } = await withPictures(t, options)
  const status = async (url: string, headers = {}) => (await ask(app, url, headers)).statusCode
  t.equal(await status(signed), 200)
  t.equal(await status(signed, { 'x-user-id': 'bob' }), 200, 'whoever has it')
  const query = new URLSearchParams(signed.split('?')[1])
  const other = (await create(gateway)).media[0]?.url ?? ''
  for (const [name, url] of [
    ['without', bare],
    ['without sig', `${bare}?exp=${query.get('exp')}`],
    ['without exp', `${bare}?sig=${query.get('sig')}`],
    ['a later end', `${bare}?exp=${Number(query.get('exp')) + 3600}&sig=${query.get('sig')}`],
    ['another sig', `${signed.slice(0, -1)}${signed.endsWith('A') ? 'B' : 'A'}`],
    ["another file's", `${bare}${new URL(other).search}`]
  ] as const)
    t.equal(await status(url), 404, name)

  ahead = 22 * HOUR
  t.equal(await status(signed), 200)
  ahead = 24 * HOUR
  t.equal(await status(signed), 404, 'over')
  t.equal(await status(signed, ALICE), 200, 'which its owner does not notice')
  const fresh = (await gateway.get(`/task/${taskId}`, ALICE)).json.data.media[0].url
  t.equal(await status(fresh.replace(/^http:\/\/[^/]+/, '')), 200, 'and gets a new one')
})

t.test('URLs begin with PUBLIC_URL', async (t) => {
  const { first } = await withPictures(t, { config: { PUBLIC_URL: 'https://bing.example/gateway/' } })
  t.match(first.url, /^https:\/\/bing\.example\/gateway\/media\/[0-9a-f]{32}\?exp=/)
})

for (const anonymous of [true, false]) {
  t.test(`files of others do not exist; ALLOW_ANONYMOUS=${anonymous}`, async (t) => {
    const { app, gateway, bare } = await withPictures(t, { config: { ALLOW_ANONYMOUS: anonymous } })
    const unknown = `/media/${'0'.repeat(32)}`
    for (const method of ['GET', 'HEAD', 'DELETE'] as const) {
      for (const headers of [{ 'x-user-id': 'bob' }, {}]) {
        const [foreign, none] = await Promise.all(
          [bare, unknown].map((url) => ask(app, url, headers, method))
        )
        t.strictSame(
          [foreign?.statusCode, foreign?.body, Object.keys(foreign?.headers ?? {})],
          [none?.statusCode, none?.body, Object.keys(none?.headers ?? {})],
          `${method} as ${JSON.stringify(headers)}: as if unknown`
        )
        const wanted = method === 'DELETE' && !anonymous && !('x-user-id' in headers) ? 401 : 404
        t.equal(foreign?.statusCode, wanted)
      }
    }
    const refused = await ask(app, unknown, { 'x-user-id': 'bob' })
    t.match(refused.json().error, { type: 'not_found_error', code: null })
    for (const id of ['x', `${'0'.repeat(31)}G`, '0'.repeat(33), '..%2F..%2Fetc%2Fpasswd', '0'.repeat(600)])
      t.equal((await ask(app, `/media/${id}`, ALICE)).statusCode, 404, id.slice(0, 40))
    t.equal((await ask(app, bare, { 'x-user-id': 'mallory' })).statusCode, 403, 'not whitelisted')
    t.equal((await ask(app, bare, ALICE)).statusCode, 200, 'still there')

    const nobodys = await gateway.post('/create/image', { query: 'a hare' })
    if (!anonymous) {
      t.equal(nobodys.status, 401)
      return
    }
    const { pathname } = new URL(nobodys.json.data.media[0].url)
    t.equal((await ask(app, pathname)).statusCode, 200, 'anonymous callers share what is theirs')
    t.equal((await ask(app, pathname, ALICE)).statusCode, 404)
  })
}

t.test('anonymous files end with the permission to be anonymous; a signature does not', async (t) => {
  const dir = t.testdir()
  const sim = await simulatorOf(t)
  const open = await startGateway(t, { dir, sim, config: { ALLOW_ANONYMOUS: true } })
  const made = await open.post('/create/image', { query: 'a hare' })
  const { pathname, search } = new URL(made.json.data.media[0].url)
  t.equal((await ask(open.app, pathname)).statusCode, 200)
  await open.app.close()

  for (const config of [{ ALLOW_ANONYMOUS: false }, { AUTH_MODE: 'key', ALLOW_ANONYMOUS: true }] as const) {
    const { app } = await startGateway(t, { dir, sim, config })
    t.equal((await ask(app, pathname)).statusCode, 404, JSON.stringify(config))
    t.equal((await ask(app, `${pathname}${search}`)).statusCode, 200, 'after a restart too')
    t.equal((await ask(app, pathname, {}, 'DELETE')).statusCode, 401)
    await app.close()
  }
})

t.test('AUTH_MODE=key: the owner reads with a key', async (t) => {
  const gateway = await startGateway(t, { config: { AUTH_MODE: 'key' } })
  const { app } = gateway
  const keys = createKeyStore(app.store.database)
  const bearer = async (userId: string) => ({
    authorization: `Bearer ${(await keys.create(userId, Date.now(), null)).key}`
  })
  const [alice, bob] = [await bearer('alice'), await bearer('bob')]
  const made = await gateway.post('/create/image', { query: 'a fox' }, alice)
  const { pathname, search } = new URL(made.json.data.media[0].url)
  t.equal((await ask(app, pathname, alice)).statusCode, 200)
  t.equal((await ask(app, `${pathname}${search}`)).statusCode, 200)
  for (const headers of [bob, {}, ALICE]) t.equal((await ask(app, pathname, headers)).statusCode, 404)
  t.equal((await ask(app, pathname, bob, 'DELETE')).statusCode, 404)
  t.equal((await ask(app, pathname, alice, 'DELETE')).statusCode, 204)
})

t.test('the owner removes a file', async (t) => {
  const { gateway, app, dir, taskId, bare, signed, media } = await withPictures(t)
  const folder = join(dir, 'media', taskId)
  t.strictSame(readdirSync(folder).sort(), ['0', '1', '2', '3'])
  t.equal((await ask(app, signed, {}, 'DELETE')).statusCode, 404, 'a signature is for reading')
  const gone = await ask(app, bare, ALICE, 'DELETE')
  t.strictSame([gone.statusCode, gone.body], [204, ''])
  t.strictSame(readdirSync(folder).sort(), ['1', '2', '3'])
  for (const url of [bare, signed]) t.equal((await ask(app, url, ALICE)).statusCode, 404)
  t.equal((await ask(app, bare, ALICE, 'DELETE')).statusCode, 404)
  const task = (await gateway.get(`/task/${taskId}`, ALICE)).json.data
  t.strictSame(task.media, media.slice(1), 'its task lists the others')
  t.equal(task.images.length, 4, "and Bing's own addresses")

  await app.media.removeOfTask(taskId)
  t.equal(existsSync(folder), false)
  t.strictSame((await gateway.get(`/task/${taskId}`, ALICE)).json.data.media, [])
  await app.media.removeOfTask(taskId)
})

t.test('bytes that are gone, cut off, or out of reach', async (t) => {
  const { app, dir, taskId, signed, bare, gateway } = await withPictures(t)
  const file = join(dir, 'media', taskId, '0')
  truncateSync(file, 10)
  const expired = { type: 'not_found_error', code: 'media_expired' }
  t.match((await ask(app, signed)).json().error, expired, 'cut off')
  rmSync(file)
  const gone = await ask(app, signed, { range: 'bytes=0-1' })
  t.equal(gone.statusCode, 404)
  t.match(gone.json().error, expired)
  t.equal(gone.headers['x-should-retry'], 'false')
  t.equal((await ask(app, signed, {}, 'HEAD')).statusCode, 404)
  t.equal((await ask(app, bare, ALICE, 'DELETE')).statusCode, 204, 'the row can still be removed')

  const next = new URL((await gateway.get(`/task/${taskId}`, ALICE)).json.data.media[0].url)
  rmSync(join(dir, 'media'), { recursive: true })
  writeFileSync(join(dir, 'media'), 'a file stands in its place')
  const away = await ask(app, `${next.pathname}${next.search}`)
  t.equal(away.statusCode, 503)
  t.match(away.json().error, { type: 'service_unavailable_error', code: 'store_unavailable' })
  t.ok(away.headers['retry-after'])
})

t.test('a creation completes without the copies that could not be made', async (t) => {
  const gateway = await startGateway(t)
  const { sim, dir, app } = gateway
  for (let n = 0; n < 4; n++) sim.enqueue('media', { forbidden: true })
  const first = await create(gateway)
  t.strictSame(first.media, [])
  const task = (await gateway.get(`/task/${first.taskId}`, ALICE)).json.data
  t.equal(task.status, 'completed')
  t.equal(task.images.length, 4)
  t.strictSame(task.media, [])
  t.match(gateway.log(), /media could not be copied/)

  rmSync(join(dir, 'media'), { recursive: true, force: true })
  writeFileSync(join(dir, 'media'), 'a file stands in its place')
  t.strictSame((await create(gateway)).media, [], 'nor with a storage that fails')
  t.strictSame((await app.media.views([first.taskId], 'http://x')).size, 0)
})

t.test('copies in S3', async (t) => {
  const { port } = await startS3(t)
  const wire = await startWire(t, port)
  const { app, gateway, signed, bare, dir, taskId } = await withPictures(t, {
    config: {
      MEDIA_STORAGE: `s3://media/copies?endpoint=${wire.url}`,
      AWS_ACCESS_KEY_ID: S3_KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_KEY.secretAccessKey
    }
  })
  t.equal(existsSync(join(dir, 'media')), false, 'nothing on the disk')
  const whole = await ask(app, signed)
  t.equal(whole.rawPayload.toString('hex', 0, 3), 'ffd8ff')
  const part = await ask(app, signed, { range: 'bytes=10-19' })
  t.strictSame([part.statusCode, part.rawPayload], [206, whole.rawPayload.subarray(10, 20)])
  t.equal((await ask(app, signed, {}, 'HEAD')).headers['content-length'], String(whole.rawPayload.length))

  // Far more than the buffers on the way hold.
  const size = 32 * 1024 * 1024
  await app.media.storage.put(`${taskId}/0`, Buffer.alloc(size, 'x'), 'image/jpeg')
  await app.store.database.db.updateTable('media').set({ bytes: size }).where('position', '=', 0).execute()
  const base = await gateway.listen()
  const download = async () => {
    const [answer] = (await once(get(`${base}${signed}`), 'response')) as [IncomingMessage]
    return answer
  }
  const left = await download()
  await once(left, 'readable')
  t.ok(wire.open > 0)
  left.destroy()
  while (wire.open > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.pass('a caller who leaves ends the read')

  wire.cutAfter(1024 * 1024)
  const cut = await download()
  t.equal(cut.headers['content-length'], String(size))
  cut.resume()
  const [error] = await once(cut, 'error')
  t.equal(error.code, 'ECONNRESET', 'a file that breaks off is no whole one')
  wire.cutAfter(Number.POSITIVE_INFINITY)

  t.equal((await ask(app, bare, ALICE, 'DELETE')).statusCode, 204)
  t.equal((await ask(app, signed)).statusCode, 404)
  await app.media.removeOfTask(taskId)
  t.equal(await app.media.storage.has(`${taskId}/1`), false)
  t.notMatch(gateway.log(), new RegExp(`sig=|${S3_KEY.secretAccessKey}`), 'no signature or key in the log')
})

t.test('a storage that cannot be used is said at the start, which goes on', async (t) => {
  const dir = t.testdir({ media: 'a file stands in its place' })
  const sim = await simulatorOf(t)
  const { app, log } = await startGateway(t, { dir, sim })
  t.equal((await ask(app, '/livez')).statusCode, 200)
  // It is looked at beside the start; an S3 store may take its time.
  while (!log().includes('media copies cannot be kept'))
    await new Promise((resolve) => setTimeout(resolve, 5))
  const config = { MEDIA_STORAGE: 's3://x' }
  await t.rejects(startGateway(t, { sim, config }), { name: 'ConfigError', message: /MEDIA_STORAGE must be/ })
})

/** A simulator that outlives the gateways of a test. */
async function simulatorOf(t: Test): Promise<Simulator> {
  const simulator = await startSimulator({ cookies: [COOKIE] })
  t.teardown(() => simulator.close())
  return simulator
}
