import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch, type Response } from 'undici'
import type { TaskView } from '../schemas/task.ts'
import { isLoopback } from './config.ts'
import { createAccount } from './upstream/account.ts'
import { createUpstreamHttp } from './upstream/http.ts'
import { createMediaClient } from './upstream/media/client.ts'

export interface ClientOptions {
  url: string
  user?: string
  /** API key. */
  key?: string
  json?: boolean
}

/** Waits of the client: a picture may take minutes, and the server's own deadline ends it first. */
const REQUEST_MS = 15 * 60_000
const DOWNLOAD_MS = 120_000
/** Without undici's own limit of five minutes to the first byte. */
const patient = new Agent({ headersTimeout: 0, bodyTimeout: 0 })

/** Calls the gateway. @throws {Error} with the gateway's own message, or one that says that none answers there */
export async function call<T>(
  options: ClientOptions,
  method: string,
  path: string,
  body?: object
): Promise<T> {
  const response = await send(options, method, path, body)
  const answer = await response.json().catch(() => undefined)
  return answer as T
}

/** A response whose body is still to be read. @throws {Error} as `call` does */
export async function send(
  options: ClientOptions,
  method: string,
  path: string,
  body?: object
): Promise<Response> {
  let response: Response
  try {
    response = await fetch(new URL(path, options.url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.user === undefined ? {} : { 'x-user-id': options.user }),
        ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` })
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
      dispatcher: patient
    })
  } catch (error) {
    throw new Error(`no gateway answers at ${options.url}. Start one with "bing-gateway serve".`, {
      cause: error
    })
  }
  if (response.ok) return response
  const answer = (await response.json().catch(() => undefined)) as
    | { error?: { message?: string } }
    | undefined
  throw new Error(answer?.error?.message ?? `the gateway answered with HTTP ${response.status}.`)
}

interface Envelope<T> {
  data: T
}

export async function imageCommand(
  prompt: string,
  options: ClientOptions & { model: string; aspect: string; out?: string }
): Promise<void> {
  const answer = await call<Envelope<{ images: string[]; prompt: string; taskId: string }>>(
    options,
    'POST',
    '/create/image',
    {
      query: prompt,
      model: options.model,
      aspect: options.aspect
    }
  )
  if (options.json) print(JSON.stringify(answer, null, 2))
  else print([answer.data.prompt, ...answer.data.images].join('\n'))
  if (options.out !== undefined) {
    for (const [index, url] of answer.data.images.entries())
      print(await save(url, options.out, `${answer.data.taskId}-${index + 1}`))
  }
}

export async function videoCommand(
  prompt: string,
  options: ClientOptions & { speed: string; out?: string; interval: number; wait: boolean }
): Promise<void> {
  const created = await call<Envelope<{ taskId: string; prompt: string }>>(options, 'POST', '/create/video', {
    query: prompt,
    speed: options.speed
  })
  const { taskId } = created.data
  if (!options.wait) return print(options.json ? JSON.stringify(created, null, 2) : taskId)

  let task: TaskView
  for (;;) {
    task = (await call<Envelope<TaskView>>(options, 'GET', `/task/${taskId}`)).data
    if (task.status !== 'processing') break
    await sleep(options.interval * 1000)
  }
  if (task.video === null) throw new Error(task.error ?? `the task is ${task.status}.`)
  print(options.json ? JSON.stringify(task, null, 2) : task.video)
  if (options.out !== undefined) print(await save(task.video, options.out, taskId))
}

const EXTENSIONS: Record<string, string> = {
  'image/jpeg': '.jpg',
  'image/png': '.png',
  'image/webp': '.webp',
  'video/mp4': '.mp4'
}

/**
 * Downloads a picture or video. Only Bing's media hosts and this machine (the simulator) are asked, whatever URL the
 * gateway names.
 * @returns the path of the file
 */
export async function save(url: string, folder: string, name: string): Promise<string> {
  const { hostname, origin } = new URL(url)
  const http = createUpstreamHttp({ account: createAccount([]) })
  try {
    const media = createMediaClient({ http, allowedBases: isLoopback(hostname) ? [origin] : [] })
    const { contentType, body } = await media.fetch(url, AbortSignal.timeout(DOWNLOAD_MS))
    await mkdir(folder, { recursive: true })
    const path = join(folder, `${name}${EXTENSIONS[contentType] ?? '.bin'}`)
    await writeFile(path, body)
    return path
  } finally {
    await http.close()
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
