import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChatAnswer, Conversation } from '../schemas/chat.ts'
import type { TaskView } from '../schemas/task.ts'
import { formatAnswer } from './cli-chat.ts'
import { call, save } from './cli-client.ts'
import { completeConfig, loadConfig } from './config.ts'
import { createLogger } from './logger.ts'
import { type RunningServer, startProblem, startServer } from './server.ts'
import { type Simulator, startSimulator } from './simulator/index.ts'

/**
 * `npm run demo`: the gateway against the bundled simulator. No account, no network.
 * One chat turn, one image and one video go through the HTTP API as any client would send them.
 */

const USER = 'demo'
const COOKIE = 'demo-cookie'
const OUT = 'demo-output'

const once = process.argv.includes('--once')
const tty = process.stdout.isTTY === true

/** Shows what is being waited for: a running clock on a terminal, one line elsewhere. */
async function step<T>(title: string, run: () => Promise<T>): Promise<T> {
  const startedAt = Date.now()
  const seconds = () => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`
  const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
  let n = 0
  const timer = tty
    ? setInterval(
        () => process.stdout.write(`\r\u001b[2K${frames[n++ % frames.length]} ${title} … ${seconds()}`),
        80
      )
    : undefined
  if (!tty) print(`… ${title}`)
  const end = (mark: string) => {
    clearInterval(timer)
    print(`${tty ? '\r\u001b[2K' : ''}${mark} ${title} (${seconds()})`)
  }
  try {
    const result = await run()
    end('✔')
    return result
  } catch (error) {
    end('✘')
    throw error
  }
}

interface Envelope<T> {
  data: T
}

async function tour(url: string): Promise<void> {
  const client = { url, user: USER }
  const anonymous = { url }

  const answer = await step('Chat: asking a question', async () => {
    const conversation = await call<Conversation>(client, 'POST', '/create_conversation', { userId: USER })
    return call<ChatAnswer>(client, 'POST', '/chatgpt', {
      ...conversation,
      prompt: 'How high is the tower in the harbour?'
    })
  })
  print(indent(formatAnswer(answer)))

  const images = await step('Image: drawing a prompt', () =>
    call<Envelope<{ images: string[]; prompt: string; taskId: string }>>(anonymous, 'POST', '/create/image', {
      query: 'a red sailing boat in front of a futuristic city at sunset',
      model: 'DALLE',
      aspect: 'LANDSCAPE'
    })
  )
  const files = await step('Image: saving the pictures', () =>
    Promise.all(images.data.images.map((image, index) => save(image, OUT, `image-${index + 1}`)))
  )
  print(indent(`"${images.data.prompt}"`))
  print(indent(files.map(shown).join('\n')))

  const video = await step('Video: an asynchronous task', async () => {
    const { taskId } = (
      await call<Envelope<{ taskId: string }>>(anonymous, 'POST', '/create/video', {
        query: 'ocean waves at night under a full moon'
      })
    ).data
    for (;;) {
      const task = (await call<Envelope<TaskView>>(anonymous, 'GET', `/task/${taskId}`)).data
      if (task.status === 'completed' && task.video !== null) return task.video
      if (task.status !== 'processing') throw new Error(task.error ?? `the task is ${task.status}`)
      await sleep(300)
    }
  })
  print(indent(shown(await step('Video: saving the film', () => save(video, OUT, 'video')))))
}

async function main(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-demo-'))
  const whitelist = join(dir, 'whitelist.txt')
  // The names of the documentation's examples too, so that they work as they stand.
  writeFileSync(whitelist, `${USER}\nalice\nOlivierShi\n`)
  let simulator: Simulator | undefined
  let server: RunningServer | undefined
  const stop = async () => {
    await server?.stop()
    await simulator?.close()
    await rm(dir, { recursive: true, force: true })
  }

  simulator = await startSimulator({
    cookies: [COOKIE],
    // A pace that a person can follow; the real upstream is slower.
    behave: {
      turn: { thinkMs: 300, updateDelayMs: 15 },
      poll: { readyAfterMs: 1500 },
      videoPoll: { readyAfterMs: 2500 }
    }
  })
  // Only address and log level are taken from the environment: a real cookie never meets the simulator.
  const { HOST, PORT, LOG_LEVEL } = loadConfig({
    LOG_LEVEL: 'warn',
    ...pick(process.env, 'HOST', 'PORT', 'LOG_LEVEL')
  })
  const config = completeConfig({
    HOST,
    PORT,
    LOG_LEVEL,
    BING_URL: simulator.url,
    BING_MEDIA_URL: simulator.url,
    BING_CHAT_URL: simulator.chatUrl,
    BING_COOKIE_U: COOKIE,
    ALLOW_ANONYMOUS: true,
    WHITELIST_FILE: whitelist,
    DATA_DIR: dir,
    POLL_INTERVAL_MS: 250
  })
  try {
    server = await startServer(config, { logger: createLogger({ level: LOG_LEVEL, pretty: tty }) })
  } catch (error) {
    process.stderr.write(
      `The demo cannot start: ${startProblem(error, config)} Set PORT to use another one.\n`
    )
    await stop()
    return 1
  }

  print(`bing-gateway at ${server.url}, talking to the bundled simulator at ${simulator.url}\n`)
  try {
    await tour(server.url)
  } catch (error) {
    process.stderr.write(`\nThe demo failed: ${(error as Error).message}\n`)
    await stop()
    return 1
  }

  print(`\nPictures and video: ${resolve(OUT)}`)
  if (once) {
    await stop()
    return 0
  }
  print(
    [
      '',
      `Studio page   ${server.url}/          see the pictures, chat, make more`,
      `Swagger UI    ${server.url}/docs      try every route`,
      `API document  ${server.url}/openapi.yaml`,
      '',
      `curl -s ${server.url}/create/image -H 'Content-Type: application/json' -d '{"query":"a fox in the snow"}'`,
      '',
      `The users "${USER}", "alice" and "OlivierShi" are on the whitelist. Stop with Ctrl+C.`
    ].join('\n')
  )
  await new Promise<void>((resolveStop) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolveStop())
  })
  await stop()
  return 0
}

function pick(env: NodeJS.ProcessEnv, ...names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}

function shown(path: string): string {
  return relative('.', path) || path
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ')
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

process.exit(await main())
