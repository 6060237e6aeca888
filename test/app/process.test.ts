/** The service as a process: starting, refusing to start, stopping, dying. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import t, { type Test } from 'tap'
import { startSimulator } from '../../src/simulator/index.ts'
import { runCli, startProcess } from '../support/process.ts'

const COOKIE = 'CANARY-cookie-5d1f'

async function surroundings(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  writeFileSync(join(dir, 'whitelist.txt'), 'OlivierShi\n')
  const sim = await startSimulator({ cookies: [COOKIE] })
  // Every finished creation is copied; drawing each film anew would take most of a test's time.
  sim.set('media', { plain: true })
  t.teardown(async () => {
    await sim.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const env = {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: COOKIE,
    DATA_DIR: join(dir, 'data'),
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    POLL_INTERVAL_MS: '50',
    VIDEO_CONCURRENCY: '0'
  }
  return { dir, sim, env }
}

async function post(url: string, body: object) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  return { status: response.status, json: (await response.json()) as any }
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
const get = async (url: string): Promise<any> => (await fetch(url)).json()

t.test('kill -9 with 20 videos processing and 20 conversations open', async (t) => {
  const { sim, env } = await surroundings(t)
  sim.set('videoPoll', { neverReady: true })
  const first = await startProcess(t, env)
  const conversations = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const { json } = await post(`${first.url}/create_conversation`, { userId: 'OlivierShi' })
      const turn = await post(`${first.url}/chatgpt`, { ...json, prompt: `My name is Person${n}x.` })
      t.equal(turn.status, 200)
      return json
    })
  )
  const videos = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const { status, json } = await post(`${first.url}/create/video`, { query: `video number ${n}` })
      t.equal(status, 200)
      return json.data.taskId as string
    })
  )
  t.equal((await get(`${first.url}/health`)).data.activeTasks, 20)
  await first.end('SIGKILL')

  sim.set('videoPoll', {})
  const second = await startProcess(t, env)
  for (const [n, taskId] of videos.entries()) {
    let task = { status: 'processing', video: null, prompt: '' }
    for (let tries = 0; tries < 200 && task.status === 'processing'; tries++) {
      task = (await get(`${second.url}/task/${taskId}`)).data
      if (task.status === 'processing') await new Promise((resolve) => setTimeout(resolve, 50))
    }
    t.strictSame([task.status, task.prompt], ['completed', `video number ${n}`])
    t.equal(sim.counts[`received:video number ${n}`], 1, 'exactly one submit')
  }
  for (const [n, conversation] of conversations.entries()) {
    const { status, json } = await post(`${second.url}/chatgpt`, {
      ...conversation,
      prompt: 'What is my name?',
      invocationId: 1
    })
    t.equal(status, 200)
    t.match(json.message, new RegExp(`\\bPerson${n}x\\b`))
  }
  t.strictSame(sim.violations, [])
  t.equal(await second.end('SIGTERM'), 0)
  t.notMatch(first.output() + second.output(), new RegExp(COOKIE), 'the cookie is in no log line')
})

t.test(
  'kill -9 while a prompt is being submitted: the outcome is unknown, and nothing is sent twice',
  async (t) => {
    const { sim, env } = await surroundings(t)
    sim.set('videoSubmit', { delayMs: 60_000 })
    const first = await startProcess(t, env)
    const call = post(`${first.url}/create/video`, { query: 'in between' }).catch(() => undefined)
    while ((sim.counts['creator.video.submit.received'] ?? 0) < 1)
      await new Promise((resolve) => setTimeout(resolve, 10))
    await first.end('SIGKILL')
    await call

    sim.set('videoSubmit', {})
    const second = await startProcess(t, env)
    t.equal((await get(`${second.url}/health`)).data.activeTasks, 0)
    t.match(second.output(), /"code":"outcome_unknown"/)
    t.equal(sim.counts['received:in between'], 1)
  }
)

t.test('kill -9 before a prompt has left: the next process sends it', async (t) => {
  const { sim, env } = await surroundings(t)
  sim.set('bootstrap', { delayMs: 60_000 })
  const first = await startProcess(t, env)
  const accepted = await fetch(`${first.url}/create/image`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'respond-async' },
    body: JSON.stringify({ query: 'patient' })
  })
  const { data } = (await accepted.json()) as { data: { taskId: string } }
  const waiting = post(`${first.url}/create/image`, { query: 'attended' }).catch(() => undefined)
  while (sim.counts['creator.bootstrap'] === undefined || sim.counts['creator.bootstrap'] === 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  await first.end('SIGKILL')
  await waiting
  sim.set('bootstrap', {})
  const second = await startProcess(t, env)
  const task = await fetch(`${second.url}/task/${data.taskId}`, { headers: { prefer: 'wait=30' } })
  t.match(await task.json(), { data: { status: 'completed', prompt: 'patient' } })
  t.equal(sim.counts['received:patient'], 1)
  t.equal(sim.counts['received:attended'] ?? 0, 0, 'whose caller is gone is not sent for nobody')
})

t.test(
  'kill -9 when the first answer is there and not yet stored: the turn can be asked again',
  async (t) => {
    const { sim, env } = await surroundings(t)
    const first = await startProcess(t, env)
    const { json: conversation } = await post(`${first.url}/create_conversation`, { userId: 'OlivierShi' })
    sim.set('turn', { thinkMs: 500 })
    const turn = { ...conversation, prompt: 'My name is Ada.', invocationId: 0 }
    const call = post(`${first.url}/chatgpt`, turn).catch(() => undefined)
    while (sim.counts['sydney.questions'] !== 1) await new Promise((resolve) => setTimeout(resolve, 10))
    const other = new Database(join(env.DATA_DIR, 'bing-gateway.sqlite'))
    other.exec('BEGIN IMMEDIATE')
    while (sim.counts['sydney.completed'] !== 1) await new Promise((resolve) => setTimeout(resolve, 10))
    await first.end('SIGKILL')
    other.close()
    t.equal(await call, undefined, 'nobody was answered')

    const second = await startProcess(t, env)
    const again = await post(`${second.url}/chatgpt`, turn)
    t.equal(again.status, 200, JSON.stringify(again.json))
    const next = { ...conversation, prompt: 'What is my name?', invocationId: 1 }
    t.match((await post(`${second.url}/chatgpt`, next)).json.message, /Ada/)
    t.strictSame(sim.violations, [])
  }
)

t.test('SIGTERM drains: a running turn is answered, then the process ends with 0', async (t) => {
  const { sim, env } = await surroundings(t)
  const gateway = await startProcess(t, env)
  const { json: conversation } = await post(`${gateway.url}/create_conversation`, { userId: 'OlivierShi' })
  sim.set('turn', { thinkMs: 1500 })
  const turn = post(`${gateway.url}/chatgpt`, { ...conversation, prompt: 'Slow one' })
  while ((sim.counts['sydney.questions'] ?? 0) < 1) await new Promise((resolve) => setTimeout(resolve, 10))
  const ended = gateway.end('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 300))
  const ready = await fetch(`${gateway.url}/readyz`)
  t.strictSame(
    [ready.status, ((await ready.json()) as { checks: { draining: boolean } }).checks.draining],
    [503, true],
    'not ready while it drains'
  )
  const refused = await post(`${gateway.url}/create_conversation`, { userId: 'OlivierShi' })
  t.strictSame([refused.status, refused.json.error.code], [503, 'draining'])
  t.equal((await turn).status, 200)
  t.equal(await ended, 0)
})

t.test('SIGHUP: cookies are read again, and what waited for a person goes on', async (t) => {
  const { sim, env } = await surroundings(t)
  const gateway = await startProcess(t, env)
  const states = async () =>
    (await get(`${gateway.url}/health`)).data.upstreams.map(({ state }: { state: string }) => state)
  sim.set('create', { failure: 'challenge-message' })
  const start = () => post(`${gateway.url}/create_conversation`, { userId: 'OlivierShi' })
  t.equal((await start()).json.error.code, 'challenge_required')
  t.strictSame(await states(), ['challenged', 'challenged', 'challenged'])
  sim.set('create', {})
  t.equal((await start()).json.error.code, 'challenge_required', 'nobody is asked meanwhile')
  gateway.child.kill('SIGHUP')
  for (const end = Date.now() + 10_000; Date.now() < end && (await states())[0] !== 'ok'; )
    await new Promise((resolve) => setTimeout(resolve, 20))
  t.strictSame(await states(), ['ok', 'ok', 'ok'])
  t.equal((await start()).status, 200)
  t.equal(await gateway.end('SIGTERM'), 0, 'it has not ended the process')
  t.match(gateway.output(), /reading the cookies again/)
})

t.test('SIGTERM: connections without a whole request hold nothing up', async (t) => {
  const { env } = await surroundings(t)
  const gateway = await startProcess(t, env)
  const { port } = new URL(gateway.url)
  const heads = [
    '',
    'POST /create/image HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
  ]
  for (const head of heads) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(head)
    t.teardown(() => socket.destroy())
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
  const startedAt = Date.now()
  t.equal(await gateway.end('SIGTERM'), 0)
  t.ok(Date.now() - startedAt < 6000, `${Date.now() - startedAt} ms`)
})

t.test('it says in one line why it cannot start', async (t) => {
  const { dir, env } = await surroundings(t)
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  t.teardown(() => blocker.close())
  const port = String((blocker.address() as { port: number }).port)
  writeFileSync(join(dir, 'a-file'), '')
  const cases: [string, Record<string, string>, RegExp][] = [
    ['port in use', { PORT: port }, /cannot start: port \d+ on 127\.0\.0\.1 is in use\./],
    [
      'bad configuration',
      { PORT: 'x', IMAGE_TIMEOUT_MS: '-1' },
      /Bad configuration: PORT .*; IMAGE_TIMEOUT_MS /
    ],
    [
      'store unreachable',
      { DATA_DIR: join(dir, 'a-file', 'data') },
      /cannot start: the store in .* can't be used/
    ],
    ['no such address', { HOST: '192.0.2.1' }, /cannot start: this machine has no address/]
  ]
  for (const [name, more, line] of cases) {
    const { exited, output } = runCli(t, ['serve'], {
      ...env,
      LOG_LEVEL: 'error',
      HOST: '127.0.0.1',
      PORT: '0',
      ...more
    })
    t.not(await exited, 0, name)
    t.match(output(), line, name)
    t.equal(output().trim().split('\n').length, 1, `${name}: one line`)
    t.notMatch(output(), new RegExp(COOKIE))
  }
})

t.test('a second start on the same store ends before it touches anything', async (t) => {
  const { sim, env } = await surroundings(t)
  const gateway = await startProcess(t, env)
  sim.set('submit', { delayMs: 1500 })
  const image = post(`${gateway.url}/create/image`, { query: 'a fox' })
  while (sim.counts['creator.submit.received'] !== 1) await new Promise((resolve) => setTimeout(resolve, 20))
  const second = runCli(t, ['serve'], { ...env, PORT: new URL(gateway.url).port, LOG_LEVEL: 'error' })
  t.equal(await second.exited, 1)
  t.match(
    second.output(),
    /^bing-gateway cannot start: the store in .* is in use by another gateway\. Set DATABASE_URL .*\n$/
  )
  t.equal((await image).status, 200, 'the submit under way was left alone')
})

t.test('the command line talks to a running gateway', async (t) => {
  const { dir, env } = await surroundings(t)
  const gateway = await startProcess(t, env)
  const run = async (...args: string[]) => {
    const { exited, output } = runCli(t, [...args, '--url', gateway.url], { BING_GATEWAY_USER: 'OlivierShi' })
    return { code: await exited, output: output() }
  }
  const chat = await run('chat', 'what', 'is', '12*7')
  t.strictSame([chat.code, /84/.test(chat.output)], [0, true])
  const out = join(dir, 'out')
  const image = await run('image', 'a', 'red', 'boat', '--model', 'GPT4O', '--out', out)
  t.equal(image.code, 0)
  const path = image.output.trim().split('\n').at(-1) as string
  t.strictSame([...readFileSync(path).subarray(0, 2)], [0xff, 0xd8], 'a JPEG')
  const video = await run('video', 'waves', '--interval', '0.1', '--json')
  t.equal(JSON.parse(video.output).status, 'completed')
  const refused = await run('image', 'a forbidden thing')
  t.strictSame(
    [refused.code, refused.output.trim()],
    [1, 'bing-gateway: Prompt rejected for content policy.']
  )
  const { exited, output } = runCli(t, ['chat', 'hi', '--url', 'http://127.0.0.1:9', '--user', 'x'], {})
  t.equal(await exited, 1)
  t.match(output(), /no gateway answers/)
})
