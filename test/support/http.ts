/** Calls of a gateway over a real socket, as its callers make them. */
export interface Reply {
  /** 0: there was no answer. */
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  json: any
}

export interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  body?: object
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** Calls a gateway. @throws {TypeError} when there is no whole answer: it is gone, or goes meanwhile */
export async function call(url: string, { method, body, headers = {}, signal }: Call = {}): Promise<Reply> {
  const response = await fetch(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text)
    }
  }
}

/** As `call`; status 0 stands for no answer. */
export async function attempt(url: string, options?: Call): Promise<Reply> {
  return call(url, options).catch(() => ({ status: 0, headers: new Headers(), text: '', json: {} }))
}

/** Asks again and again until the answer is right. @throws {Error} when it takes longer than `ms` */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  right: (answer: T) => boolean = Boolean,
  ms = 30_000
): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    const answer = await ask()
    if (right(answer)) return answer
    if (performance.now() > end)
      throw new Error(`${what}: not within ${ms} ms; last: ${JSON.stringify(answer)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as the gateway shows it
export type SeenTask = any

/** A task as the gateway shows it to a caller. */
export async function taskAt(
  url: string,
  taskId: string,
  headers: Record<string, string> = {}
): Promise<SeenTask> {
  const reply = await call(`${url}/task/${taskId}`, { headers })
  if (reply.status !== 200) throw new Error(`GET /task/${taskId} answered ${reply.status}: ${reply.text}`)
  return reply.json.data
}

/** Waits until a task has ended, and returns it. */
export function endOfTask(
  url: string,
  taskId: string,
  headers?: Record<string, string>,
  ms?: number
): Promise<SeenTask> {
  return until(
    `the end of task ${taskId}`,
    () => taskAt(url, taskId, headers),
    ({ status }) => status !== 'processing',
    ms
  )
}
