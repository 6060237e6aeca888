import type { Operation, Parameter, Schema } from './document.ts'
import { typesOf } from './document.ts'
import { mutateBytes } from './mutate-bytes.ts'
import { mutateJson } from './mutate-json.ts'
import { nested, ODD_NUMBERS, ODD_TEXTS, oddValue, PROTOTYPE_NAMES, Raw, toJson } from './odd-values.ts'
import type { Random } from './random.ts'
import type { Person, Thing, World } from './world.ts'

export interface FuzzRequest {
  method: string
  /** Path and query, as they stand on the wire. */
  path: string
  headers: [string, string][]
  body?: Buffer
  person: Person
  /** What the answer must be, where the request has one thing wrong and nothing else. */
  wants?: { status: number; param?: string }
}

/** Routes that the document leaves out. */
const BESIDE_THE_DOCUMENT = [
  '/openapi.json',
  '/openapi.yaml',
  '/docs',
  '/docs/',
  '/docs/static/index.html',
  '/favicon.ico'
]

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'SEARCH', 'PROPFIND']

const HEADERS: Record<string, readonly string[]> = {
  accept: [
    '*/*',
    'text/event-stream',
    'application/json',
    'text/html',
    'x/y;q=2',
    ',;=',
    'text/event-stream;q=0',
    'é'
  ],
  prefer: [
    'respond-async',
    'wait=1',
    'wait=0',
    'wait=60',
    'wait=-1',
    'wait=1e9',
    'wait="2"',
    'wait=99999999999999999999',
    'wait',
    'respond-async, wait=1; x=y,,,;',
    'return=minimal',
    '='
  ],
  'idempotency-key': [
    'a',
    'b',
    'c',
    '"quoted"',
    ' ',
    'x'.repeat(255),
    'x'.repeat(256),
    '__proto__',
    'é',
    'a, b'
  ],
  range: [
    'bytes=0-3',
    'bytes=-1',
    'bytes=5-',
    'bytes=9-1',
    'bytes=0-0,2-3',
    'bytes=99999999999999999999-',
    'bytes=',
    'lines=1-2',
    'bytes=-0'
  ],
  'if-none-match': ['*', '"x"', 'W/"x"', '"', ',,,', 'W/'],
  'if-range': ['"x"', 'W/"x"', 'Thu, 01 Jan 1970 00:00:00 GMT', 'x'],
  'x-user-id': [
    'alice',
    'bob',
    'nobody',
    '',
    ' ',
    '__proto__',
    'alice,bob',
    'Ålice',
    'x'.repeat(5000),
    'alice\tbob'
  ],
  'x-api-key': ['bgw_', 'bgw_wrong', 'x', '', 'é', 'x'.repeat(3000)],
  authorization: [
    'Bearer',
    'Bearer ',
    'Bearer bgw_wrong',
    'Bearer alice',
    'bearer bob',
    'Basic YTpi',
    'Bearer a b',
    'é',
    'x'.repeat(3000)
  ],
  traceparent: [
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-00000000000000000000000000000000-0000000000000000-00',
    'ff-x',
    '-',
    'x'.repeat(2000)
  ],
  tracestate: ['a=b', '=', ','.repeat(500)],
  'x-request-id': ['mine-1', 'a b', '', '{"a":1}', 'x'.repeat(129), 'é', 'a/b+c=d'],
  'x-forwarded-for': [
    '1.2.3.4',
    '::1',
    '1.2.3.4, 5.6.7.8',
    'unknown',
    'é',
    ',',
    '127.0.0.1:80',
    '[::1]:80',
    '999.1.1.1'
  ],
  'x-forwarded-host': ['evil.example', 'a b', '[::1', 'x'.repeat(2000), 'a, b', '%00', 'é', ''],
  'x-forwarded-proto': ['https', 'javascript', 'https, http', ''],
  forwarded: ['for=1.2.3.4;host=x', ';;;'],
  origin: ['https://evil.example', 'null', '', 'é'],
  'sec-fetch-site': ['cross-site', 'same-origin', 'x'],
  'access-control-request-method': ['POST', 'x y'],
  'access-control-request-headers': ['x-api-key', ',,,', 'x'.repeat(3000)],
  'content-encoding': ['gzip', 'identity', 'br', 'x', ''],
  'content-language': ['de'],
  'last-event-id': ['1', 'x'.repeat(1000)],
  cookie: ['a=b', '=', '__proto__=1'],
  referer: ['http://x/', 'é'],
  'user-agent': ['', 'x'.repeat(4000), 'é'],
  'x-http-method-override': ['DELETE'],
  te: ['trailers'],
  'cache-control': ['no-cache']
}

const CONTENT_TYPES = [
  'application/json; charset=utf-8',
  'APPLICATION/JSON',
  'application/json; charset=utf-16',
  'application/json;;;',
  'application/vnd.api+json',
  'text/json',
  'text/plain',
  'application/xml',
  'multipart/form-data; boundary=x',
  'multipart/form-data',
  'application/x-www-form-urlencoded',
  'application/octet-stream',
  'application',
  '/',
  ';',
  'é/é',
  ''
]

const ODD_PATHS = [
  '%00',
  '%2e%2e%2f',
  '..',
  '.',
  '%',
  '%zz',
  '%ff',
  '%c0%af',
  '%ed%a0%80',
  '%25%32%65',
  '__proto__',
  'constructor',
  '%20',
  '%0d%0a',
  '%E2%80%AE',
  "'",
  '"',
  '<',
  '{taskId}',
  ':taskId',
  '*',
  '-',
  '00000000-0000-0000-0000-000000000000',
  '123E4567-E89B-12D3-A456-426614174000',
  'x'.repeat(512),
  'x'.repeat(513),
  'x'.repeat(6000),
  '%F0%9F%98%80',
  'é'
]

const ODD_QUERIES = [
  '?',
  '&',
  '=',
  '?a',
  '%',
  '%zz',
  '__proto__=1',
  'a[b]=1',
  'limit',
  '#',
  '&&&',
  'x='.repeat(300),
  'constructor.prototype=1'
]

export interface RequestMaker {
  next(random: Random): FuzzRequest
}

/** Requests over all operations: good ones with something wrong in them, and some as they should be. */
export function createRequests(operations: readonly Operation[], world: World): RequestMaker {
  // Those with more to get wrong come more often.
  const weighted = operations.flatMap((operation) =>
    Array<Operation>(1 + operation.parameters.length + (operation.body === undefined ? 0 : 5)).fill(operation)
  )

  function thingOf(random: Random, operation: Operation): Thing | undefined {
    const kind = operation.path.startsWith('/conversation')
      ? 'conversation'
      : operation.path.startsWith('/task')
        ? 'task'
        : 'media'
    const list = world.things[kind]
    return list.length === 0 ? undefined : random.pick(list)
  }

  /** A request with nothing wrong. */
  function good(random: Random, operation: Operation): FuzzRequest {
    const person = world.someone(random)
    const thing = operation.path.includes('{') ? thingOf(random, operation) : undefined
    const id = thing?.id ?? 'none'
    let path = operation.path.replace(/\{\w+\}/g, id)
    if (thing?.query !== undefined && random.chance(0.5)) path += `?${thing.query}`
    const headers: [string, string][] = [...person.headers]
    // Failed authentications are counted for each address.
    headers.push(['x-forwarded-for', `10.${random.below(256)}.${random.below(256)}.${random.below(256)}`])
    return { method: operation.method, path, headers, person }
  }

  /** The example, with real ids where it names things. */
  function exampleOf(random: Random, { id, body }: Operation, { userId }: Person): Record<string, unknown> {
    const example = { ...(body?.example ?? {}) }
    if (id === 'createConversation') example.userId = userId
    if (id === 'chat') {
      const own = world.things.conversation.filter(({ owner }) => owner === userId)
      Object.assign(example, own.length === 0 ? {} : random.pick(own).credentials)
      delete example.invocationId
    }
    if ('webhookUrl' in (body?.schema.properties ?? {}) && random.chance(0.05))
      example.webhookUrl = world.hookUrl
    return example
  }

  function withBody(random: Random, operation: Operation, request: FuzzRequest): FuzzRequest {
    const { body } = operation
    if (body === undefined) return request
    const example = exampleOf(random, operation, request.person)
    const json = (value: unknown, more: Partial<FuzzRequest> = {}): FuzzRequest => ({
      ...request,
      headers: [...request.headers, ['content-type', 'application/json']],
      body: Buffer.from(toJson(value)),
      ...more
    })
    const fields = Object.entries(body.schema.properties ?? {})
    switch (random.below(16)) {
      case 0:
        // As it should be; seldom, since the upstream has to work for it.
        return random.chance(0.4) ? json(example) : json({ ...example, prompt: 7, query: 7, userId: 7 })
      case 1:
      case 2:
      case 3: {
        const [name, schema] = random.pick(fields)
        return json({ ...example, [name]: wrong(random, schema) }, { wants: { status: 400, param: name } })
      }
      case 4: {
        const missing = random.pick(body.schema.required ?? [])
        delete example[missing]
        return json(example, { wants: { status: 400, param: missing } })
      }
      case 5: {
        const [name] = random.pick(fields)
        return json({ ...example, [name]: random.pick([...ODD_TEXTS, new Raw(random.pick(ODD_NUMBERS))]) })
      }
      case 6: {
        const [name] = random.pick(fields)
        return json({
          ...example,
          [name]: random.pick(['x', '𝄞', '\ud800', '\0', '%', ' ']).repeat(random.few(70_000))
        })
      }
      case 7:
        return json({ ...example, [random.pick([...PROTOTYPE_NAMES, ...ODD_TEXTS])]: oddValue(random) })
      case 8: {
        // Of two with one name, the last one counts.
        const [name, schema] = random.pick(fields)
        const text = toJson(example)
        const double = `${text.slice(0, -1)},${JSON.stringify(name)}:${toJson(wrong(random, schema))}}`
        return json(new Raw(double), { wants: { status: 400, param: name } })
      }
      case 9: {
        // Below the limit of a body, as deep as fits: whatever recurses over it runs out of stack.
        const deep = nested(random, random.chance(0.2) ? 150_000 : random.few(20_000))
        const whole = random.chance(0.5) ? deep : { ...example, deep }
        return {
          ...json(whole),
          headers: [...json(whole).headers, ['idempotency-key', `k${random.below(50)}`]]
        }
      }
      case 10:
        return json(mutateJson(random, example))
      case 11:
        return json(example, {
          body: mutateBytes(random, { seeds: [Buffer.from(toJson(example))], words: ODD_TEXTS })
        })
      case 12:
        return json(
          new Raw(
            random.pick([
              '',
              ' ',
              'null',
              '[]',
              '[{}]',
              '"x"',
              '1',
              'true',
              '{',
              '{}',
              '\ufeff{}',
              "{'a':1}",
              '{"a":1,}',
              '//x',
              'NaN',
              '{"a":01}'
            ])
          )
        )
      case 13:
        return {
          ...json(example),
          headers: [...request.headers, ['content-type', random.pick(CONTENT_TYPES)]]
        }
      case 14: {
        const form = new URLSearchParams(
          Object.entries(example).map(([name, value]): [string, string] => [name, String(value)])
        ).toString()
        const seeds = [Buffer.from(form)]
        return {
          ...request,
          headers: [...request.headers, ['content-type', 'application/x-www-form-urlencoded']],
          body: random.chance(0.3)
            ? Buffer.from(form)
            : mutateBytes(random, {
                seeds,
                words: ['&', '=', '%', '+', '[]', '__proto__=', 'query=', 'query[a]=', ...ODD_TEXTS]
              })
        }
      }
      default:
        return random.chance(0.03)
          ? json({ ...example, big: 'x'.repeat(1_100_000) }, { wants: { status: 413 } })
          : { ...request, headers: [...request.headers, ['content-type', 'application/json']] }
    }
  }

  function withQuery(random: Random, { parameters }: Operation, request: FuzzRequest): FuzzRequest {
    const known = parameters.filter((parameter) => parameter.in === 'query')
    const query = known.flatMap((parameter) => (random.chance(0.6) ? [queryOf(random, parameter)] : []))
    if (random.chance(0.2)) query.push(random.pick(ODD_QUERIES))
    return query.length === 0
      ? request
      : { ...request, path: `${request.path.split('?')[0]}?${query.join('&')}` }
  }

  function queryOf(random: Random, { name, schema }: Parameter): string {
    if (name === 'cursor' && world.cursors.length > 0 && random.chance(0.5)) {
      const cursor = random.pick(world.cursors)
      return random.chance(0.5)
        ? `cursor=${cursor}`
        : `cursor=${cursor.slice(0, random.below(cursor.length))}`
    }
    const values = [...(schema.enum ?? []), ...ODD_NUMBERS, ...ODD_TEXTS, '5', '1767355200']
    const value = encodeURIComponent(String(random.pick(values)).replace(/\p{Surrogate}/gu, ''))
    return random.pick([
      `${name}=${value}`,
      `${name}=${value}&${name}=1`,
      `${name}[]=${value}`,
      `${name}`,
      `${name}==`
    ])
  }

  function withPath(random: Random, operation: Operation, request: FuzzRequest): FuzzRequest {
    const [path = '', query] = request.path.split('?')
    const rest = query === undefined ? '' : `?${query}`
    const odd = random.pick(ODD_PATHS)
    const segments = path.split('/')
    const last = segments.length - 1
    switch (random.below(6)) {
      case 0:
      case 1:
        return { ...request, path: operation.path.replace(/\{\w+\}/g, odd) + rest }
      case 2:
        segments[last] = `${segments[last]}${odd}`
        break
      case 3:
        segments.splice(random.below(last + 1), 0, odd)
        break
      case 4:
        return {
          ...request,
          path: `${path}${random.pick(['/', '//', '/.', '%2f', ';a=b', '#x', '%23', '/events', '\\'])}${rest}`
        }
      default:
        return { ...request, path: random.chance(0.5) ? path.toUpperCase() : `//${path}` }
    }
    const joined = segments.join('/')
    return { ...request, path: (joined.startsWith('/') ? joined : `/${joined}`) + rest }
  }

  function withHeaders(random: Random, request: FuzzRequest): FuzzRequest {
    const headers = [...request.headers]
    for (let left = random.few(4); left > 0; left--) {
      const name = random.pick(Object.keys(HEADERS))
      headers.push([name, random.pick(HEADERS[name] ?? [])])
    }
    return { ...request, headers }
  }

  return {
    next(random) {
      if (random.chance(0.02))
        return withHeaders(random, {
          method: random.pick(['GET', 'GET', 'HEAD', 'POST']),
          path: `${random.pick(BESIDE_THE_DOCUMENT)}${random.chance(0.3) ? random.pick(ODD_PATHS) : ''}`,
          headers: [],
          person: { userId: undefined, headers: [] }
        })
      const operation = random.pick(weighted)
      let request = withBody(random, operation, good(random, operation))
      // One thing wrong can be told in the answer; with several, only that nothing breaks.
      if (random.chance(request.wants === undefined ? 0.8 : 0.15)) {
        request = { ...request, wants: undefined }
        if (random.chance(0.4)) request = withQuery(random, operation, request)
        if (random.chance(operation.path.includes('{') ? 0.4 : 0.1))
          request = withPath(random, operation, request)
        if (random.chance(0.5)) request = withHeaders(random, request)
        if (random.chance(0.15)) {
          const person = random.pick(world.people)
          const others = request.headers.filter(
            ([name]) => !/^(x-user-id|authorization|x-api-key)$/.test(name)
          )
          request = { ...request, person, headers: [...others, ...person.headers] }
        }
        if (random.chance(0.08)) request = { ...request, method: random.pick(METHODS) }
        if (request.body === undefined && random.chance(0.05))
          request = { ...request, body: Buffer.from('{"a":1}') }
      }
      return request
    }
  }
}

/** A value that a field can't have: of another type, out of bounds, none of its few. */
function wrong(random: Random, schema: Schema): unknown {
  const types = typesOf(schema)
  const others: [string, () => unknown][] = [
    ['null', () => null],
    ['boolean', () => random.chance(0.5)],
    ['number', () => new Raw(random.pick(['0.5', '1e-7', '-1.25']))],
    ['array', () => [random.pick(['x', 1])]],
    ['object', () => ({ a: 1 })],
    ...(types.includes('string')
      ? []
      : ([['string', () => random.pick(['1', 'true', 'x', 'NaN'])]] as [string, () => string][])),
    ...(types.includes('string') && schema.enum !== undefined
      ? ([['', () => 'none-of-them']] as [string, () => string][])
      : []),
    ...(schema.minLength === 1 ? ([['', () => '']] as [string, () => string][]) : []),
    ...(schema.maxLength !== undefined
      ? ([['', () => 'x'.repeat((schema.maxLength ?? 0) + 1)]] as [string, () => string][])
      : []),
    ...(schema.minimum !== undefined
      ? ([['', () => (schema.minimum ?? 0) - 1]] as [string, () => number][])
      : []),
    ...(schema.maximum !== undefined
      ? ([['', () => (schema.maximum ?? 0) + 1]] as [string, () => number][])
      : [])
  ]
  return random.pick(others.filter(([type]) => !types.includes(type)))[1]()
}
