import t from 'tap'
import { createCopilotAccount, parseToken } from '../../../src/upstream/copilot/account.ts'

const SITE = 'https://copilot.microsoft.com'

t.test('cookies as people hand them over', async (t) => {
  const account = createCopilotAccount(SITE)
  t.notOk(account.configured)
  t.ok(account.replace('Cookie: _C_Auth=abc; MUID=1'))
  t.ok(account.configured, 'no _U is needed')
  t.equal(account.cookieHeader(`${SITE}/c/api/start`), '_C_Auth=abc; MUID=1')
  t.equal(account.cookieHeader('wss://copilot.microsoft.com/c/api/chat'), '_C_Auth=abc; MUID=1')
  t.equal(account.cookieHeader('https://www.bing.com/'), undefined, 'they are nobody else’s')
  t.throws(() => account.replace('abcdef'), /neither a Cookie header nor JSON/, 'a value alone is nothing')
  t.throws(() => account.replace(' '), /no usable cookie/, 'a file that is being rewritten')

  const cookies = [
    { domain: 'copilot.microsoft.com', name: '__Host-copilot-anon', value: 'a' },
    { domain: '.microsoft.com', name: 'MC1', value: 'b' },
    { domain: '.copilot.microsoft.com', name: 'cf_clearance', value: 'c' },
    { domain: '.bing.com', name: '_U', value: 'no' },
    { domain: 'login.microsoftonline.com', name: 'ESTSAUTH', value: 'no' },
    { domain: 'account.microsoft.com', name: 'AMC', value: 'no' }
  ]
  t.ok(account.replace(JSON.stringify(cookies)))
  t.equal(account.cookieHeader(SITE), '__Host-copilot-anon=a; MC1=b; cf_clearance=c')
  t.throws(
    () => account.replace(JSON.stringify(cookies.slice(3))),
    /no usable cookie/,
    'those of other sites'
  )
  t.equal(account.generation, 2)
})

t.test('cookies that Copilot sets', async (t) => {
  for (const base of [SITE, 'http://127.0.0.1:7870']) {
    const account = createCopilotAccount(base)
    account.keep(base, [
      '__Host-copilot-anon=visitor; path=/; Secure; HttpOnly; SameSite=None',
      '__cf_bm=bot; path=/; Domain=.copilot.microsoft.com; Max-Age=1800; Secure; HttpOnly'
    ])
    t.match(account.cookieHeader(base), /__Host-copilot-anon=visitor/, base)
    t.ok(account.configured, 'a visitor who was let in has a session')

    account.replace('_C_Auth=abc; MUID=1')
    account.keep(base, ['_C_Auth=; path=/; Secure'])
    t.equal(account.cookieHeader(base), '_C_Auth=abc; MUID=1', 'an empty _C_Auth takes nothing away')
    account.keep(base, ['_C_Auth=new; path=/; Domain=.microsoft.com; Secure', 'MUID=; Max-Age=0'])
    t.equal(account.cookieHeader(base), '_C_Auth=new', 'a new one takes the place of the imported one')
  }
})

t.test('cookies of another token', async (t) => {
  const anonymous = ['__Host-copilot-anon=visitor; path=/; Secure; HttpOnly']
  const account = createCopilotAccount(SITE)
  account.keep(SITE, anonymous)
  account.replaceToken('one')
  t.equal(account.cookieHeader(SITE), undefined, 'a visitor who signs in is another one')
  account.keep(SITE, anonymous)
  const kept = account.save() ?? ''
  t.notOk(account.replaceToken('one'))
  t.equal(account.cookieHeader(SITE), '__Host-copilot-anon=visitor', 'the same token changes nothing')
  account.replaceToken('two')
  t.equal(account.cookieHeader(SITE), undefined)
  t.notOk(account.restore(kept), 'nor after a restart')
  account.replaceToken('one')
  t.ok(account.restore(kept))
  t.equal(account.cookieHeader(SITE), '__Host-copilot-anon=visitor')
  t.notMatch(kept, /"one"/)

  account.replace('_C_Auth=abc')
  account.keep(SITE, ['__cf_bm=bot; path=/'])
  account.replaceToken('two')
  t.equal(account.cookieHeader(SITE), '_C_Auth=abc; __cf_bm=bot', 'what was imported stays')
})

t.test('tokens', async (t) => {
  const account = createCopilotAccount(SITE)
  let replaced = 0
  const stop = account.onReplaced(() => replaced++)
  t.ok(account.replaceToken(' \ufeffEwAIA8l6.token+/=\n'))
  t.strictSame([account.token(), account.configured, account.generation], ['EwAIA8l6.token+/=', true, 1])
  t.notOk(account.replaceToken('EwAIA8l6.token+/='), 'the same one')
  t.ok(
    account.replaceToken('EwAIA8l6.token+/=', { anew: true }),
    'the same one, where a person was waited for'
  )
  t.notOk(account.replaceToken('\n'), 'a file that is being rewritten')
  t.throws(() => account.replaceToken('two words'))
  t.equal(account.token(), 'EwAIA8l6.token+/=')
  account.replace('a=b')
  t.equal(replaced, 3, 'cookies and tokens alike')
  stop()
  account.replaceToken('other')
  t.equal(replaced, 3)

  t.equal(parseToken('Bearer abc'), 'abc')
  t.equal(parseToken('{"credentialType":"AccessToken","secret":"abc","expiresOn":"1"}'), 'abc')
  const canary = 'canary'
  for (const text of [
    `${canary} x`,
    `{"token":"${canary}"}`,
    `{"${canary}`,
    canary.repeat(5000),
    `${canary}é`,
    ''
  ]) {
    t.throws(() => parseToken(text), Error)
    try {
      parseToken(text)
    } catch (error) {
      t.notMatch((error as Error).message, canary)
    }
  }
})
