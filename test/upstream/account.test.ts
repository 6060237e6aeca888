import t from 'tap'
import { createAccount } from '../../src/upstream/account.ts'
import { parseCookies } from '../../src/upstream/cookie-import.ts'

const BING = 'https://www.bing.com'
const LOCAL = 'http://127.0.0.1:9'
const SECRET = '1sEcReT-VaLuE_0123456789=='

t.test('the three forms of a cookie text', async (t) => {
  const bare = [{ name: '_U', value: SECRET }]
  const cases: [name: string, text: string, want: object[]][] = [
    ['bare value', SECRET, bare],
    ['bare value with white space and a byte order mark', `\uFEFF  ${SECRET}\n`, bare],
    ['quoted', `"${SECRET.replaceAll('=', '')}"`, [{ name: '_U', value: SECRET.replaceAll('=', '') }]],
    ['header with one cookie', `_U=${SECRET}`, bare],
    [
      'header',
      `Cookie: MUID=ab; _U=${SECRET}; ;SRCHHPGUSR=A=1&B=2`,
      [{ name: 'MUID', value: 'ab' }, ...bare, { name: 'SRCHHPGUSR', value: 'A=1&B=2' }]
    ],
    ['header with repeats: the last one', `_U=old; _U=${SECRET}`, bare],
    ['export', JSON.stringify([{ name: '_U', value: SECRET, domain: '.bing.com', httpOnly: true }]), bare],
    ['export inside an object', JSON.stringify({ cookies: [{ name: '_U', value: SECRET }] }), bare],
    [
      'export with other sites',
      JSON.stringify([
        { name: '_U', value: SECRET, domain: 'www.bing.com' },
        { name: 'SID', value: 'foreign', domain: '.example.test' },
        { name: 'X', value: 'foreign', domain: 'notbing.com' }
      ]),
      bare
    ],
    ['blank', ' \n ', []],
    ['empty export', '[]', []]
  ]
  for (const [name, text, want] of cases) t.strictSame(parseCookies(text), want, name)
})

t.test('blank text is no change until there is a cookie', async (t) => {
  const account = createAccount([BING])
  let told = 0
  account.onReplaced(() => told++)
  const steps: [text: string, changes: boolean, configured: boolean][] = [
    ['', false, false],
    ['[]', false, false],
    [SECRET, true, true],
    [`_U=${SECRET}`, false, true],
    [SECRET, false, true]
  ]
  for (const [text, changes, configured] of steps) {
    t.strictSame([account.replace(text), account.configured], [changes, configured])
  }
  t.strictSame([told, account.generation], [1, 1])
})

t.test('a good cookie is not lost to a text without one', async (t) => {
  const account = createAccount([BING])
  t.equal(account.replace('MUID=ab'), true, 'nothing to lose yet')
  t.equal(account.configured, false)
  account.replace(`_U=${SECRET}; MUID=ab`)
  for (const text of [
    '',
    ' \n',
    '\uFEFF',
    '[]',
    '{"cookies":[]}',
    'MUID=ab',
    '[{"name":"MUID","value":"ab"}]'
  ]) {
    t.throws(() => account.replace(text), { message: 'no _U cookie in it' }, JSON.stringify(text))
  }
  t.strictSame([account.configured, account.generation], [true, 2])
  t.equal(account.cookieHeader(BING), `_U=${SECRET}; MUID=ab`)
})

t.test('says what is wrong without quoting the secret', async (t) => {
  const bad = [
    `_U=${SECRET}\nMUID=ab`,
    `${SECRET} ${SECRET}`,
    `_U=${SECRET}; =${SECRET}`,
    `_U=${SECRET},x; MUID=ab`,
    `_U=${SECRET}ü; MUID=ab`,
    `${SECRET}: x=1; y=${SECRET} ${SECRET}`,
    '_U=""; MUID=ab',
    `[{"name":"_U","value":"${SECRET}"`,
    `{"name":"_U","value":"${SECRET}"}`,
    `[{"name":"_U","value":"${SECRET}"},{"value":"${SECRET}"}]`,
    `[{"name":"_U","value":7},"${SECRET}"]`,
    `[{"name":"${SECRET} ","value":"a b"}]`,
    SECRET.padEnd(16 * 1024 + 1, 'x'),
    `_U=a; MUID=${SECRET.padEnd(16 * 1024 + 1, 'x')}`
  ]
  const account = createAccount([BING])
  account.replace('good')
  for (const text of bad) {
    const shown = text.replaceAll(SECRET, '…')
    try {
      account.replace(text)
      t.fail(`taken: ${shown}`)
    } catch (error) {
      t.type(error, Error)
      const { message, stack = '', cause } = error as Error
      t.notOk(`${message}${stack}${cause}`.includes(SECRET), `${shown}: ${message}`)
    }
  }
  t.equal(account.cookieHeader(BING), '_U=good', 'the old cookies stay')
  t.equal(account.generation, 1)
  t.equal(account.replace('x'.repeat(16 * 1024)), true, 'long, and taken')
})

t.test('gives each upstream its cookies, and nobody else', async (t) => {
  const account = createAccount([BING, LOCAL])
  t.equal(account.configured, false)
  t.equal(account.cookieHeader(BING), undefined)
  account.replace(`_U=${SECRET}; MUID=ab`)
  t.equal(account.configured, true)
  for (const url of [
    BING,
    `${BING}/images/create?q=1`,
    'wss://sydney.bing.com/sydney/ChatHub',
    LOCAL,
    'ws://127.0.0.1:9/x'
  ])
    t.equal(account.cookieHeader(url), `_U=${SECRET}; MUID=ab`, url)
  for (const url of [
    'https://example.test',
    'https://notbing.com',
    'https://bing.com.evil.test',
    'http://127.0.0.2:9'
  ])
    t.equal(account.cookieHeader(url), undefined, url)
})

t.test('keeps what Bing rotates', async (t) => {
  const account = createAccount([BING, LOCAL])
  account.replace(SECRET)
  account.keep(`${BING}/images/create`, [
    '_U=rotated; Domain=.bing.com; Path=/; Secure; HttpOnly',
    '_EDGE_S=F=1&SID=AB; domain=.bing.com; path=/',
    'foreign=1; Domain=example.test',
    '=nameless',
    ''
  ])
  t.equal(account.cookieHeader('https://sydney.bing.com/'), '_U=rotated; _EDGE_S=F=1&SID=AB')
  t.equal(account.cookieHeader(LOCAL), `_U=${SECRET}`)
  t.equal(account.generation, 1, 'a rotation is no replacement')

  account.keep(LOCAL, ['_U=local; Domain=.bing.com; Path=/; Secure'])
  t.equal(account.cookieHeader(LOCAL), '_U=local', "a stand-in's cookies are its own")
  t.equal(account.cookieHeader(BING), '_U=rotated; _EDGE_S=F=1&SID=AB')

  account.keep(BING, ['_EDGE_S=; Domain=.bing.com; Path=/; Max-Age=0'])
  t.equal(account.cookieHeader(BING), '_U=rotated', 'deleted')

  account.set(BING, 'SRCHHPGUSR', 'SRCHLANG=en&HV=1&IG=A')
  account.set(LOCAL, 'SRCHHPGUSR', 'SRCHLANG=en')
  t.equal(account.cookieHeader('https://th.bing.com/'), '_U=rotated; SRCHHPGUSR=SRCHLANG=en&HV=1&IG=A', 'raw')
  t.equal(account.cookieHeader(LOCAL), '_U=local; SRCHHPGUSR=SRCHLANG=en')

  t.equal(account.replace(SECRET), false, 'the same text changes nothing')
  t.match(account.cookieHeader(BING), /^_U=rotated;/, 'and the rotation stays')
})

t.test('a site can not fill the jar', async (t) => {
  const account = createAccount([BING])
  account.replace(SECRET)
  for (let n = 0; n < 100; n++)
    account.keep(
      `${BING}/images/${n}/`,
      [0, 1, 2].map((i) => `n${n}_${i}=x; Domain=.bing.com; Path=/`)
    )
  for (let n = 0; n < 300; n++) account.keep(`${BING}/p${n}/`, ['same=x'])
  const { length } = JSON.parse(account.save() ?? '').cookies
  t.equal(length, 180)
  account.keep(BING, ['_U=rotated; Domain=.bing.com', `n0_0=${'y'.repeat(4093)}; Domain=.bing.com; Path=/`])
  t.match(account.cookieHeader(BING), /^_U=rotated; n0_0=x;/, 'what is there is still renewed')
  const attributes = `Domain=.bing.com; Path=/; Comment=${'c'.repeat(900)}`
  account.keep(BING, [`n0_0=${'y'.repeat(4092)}; ${attributes}`])
  t.match(account.cookieHeader(BING), `n0_0=${'y'.repeat(4092)};`, 'attributes are no part of its length')
  t.notMatch(account.save(), 'ccc', 'and those that nobody knows are not kept')
  account.keep(BING, [`long=1; Path=/${'p'.repeat(1024)}`])
  t.notMatch(account.save(), 'ppp', 'nor are long ones')
  account.keep(BING, ['n0_0=; Domain=.bing.com; Path=/; Max-Age=0'])
  account.keep(BING, ['late=1; Domain=.bing.com; Path=/'])
  t.match(account.cookieHeader(BING), /; late=1$/, 'and what went makes room')
})

t.test('replacement', async (t) => {
  const account = createAccount([BING])
  let told = 0
  const stop = account.onReplaced(() => (told += 1))
  t.equal(account.replace('one'), true)
  account.keep(BING, ['_EDGE_S=x; Domain=.bing.com'])
  t.equal(account.replace('_U=one'), false, 'the same cookie in another form')
  t.equal(account.replace('_U=two; MUID=ab'), true)
  t.equal(account.cookieHeader(BING), '_U=two; MUID=ab', 'old cookies are gone')
  t.strictSame([account.generation, told], [2, 2])
  stop()
  t.equal(account.replace('_U=three'), true)
  t.strictSame([account.generation, told], [3, 2])
})

t.test('what was kept', async (t) => {
  const before = createAccount([BING, LOCAL])
  before.replace(SECRET)
  before.keep(BING, [
    '_U=rotated; Domain=.bing.com; Path=/; Expires=Fri, 01 Jan 2100 00:00:00 GMT',
    'MUID=ab; Domain=.bing.com; Path=/'
  ])
  const text = before.save() ?? ''
  const restored = (saved: string, imported = SECRET) => {
    const account = createAccount([BING, LOCAL])
    account.replace(imported)
    return [account.restore(saved), account.cookieHeader(BING)]
  }
  t.strictSame(restored(text), [true, '_U=rotated; MUID=ab'])
  t.strictSame(restored(text, 'another'), [false, '_U=another'], 'of another import')
  const expired = text.replace(/"expires":"[^"]+"/g, '"expires":"2020-01-01T00:00:00.000Z"')
  t.not(expired, text)
  t.strictSame(restored(expired), [false, `_U=${SECRET}`], 'a session that ended while nobody looked')
})
