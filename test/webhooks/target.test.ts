import t from 'tap'
import {
  checkTarget,
  isPublicAddress,
  isPublicOrPrivateAddress,
  parseTarget,
  type Resolve,
  TargetRefused
} from '../../src/webhooks/target.ts'
import { MALFORMED_URLS, UNSAFE_ADDRESSES, UNSAFE_URLS } from '../support/unsafe-targets.ts'

/** What a refusal looks like to `rejects`. */
const ADDRESS = { reason: 'address' } as unknown as Error
const URL_ITSELF = { reason: 'url' } as unknown as Error

const inUrl = (address: string) => `http://${address.includes(':') ? `[${address}]` : address}/hook`
const unknown: Resolve = async () => {
  throw Object.assign(new Error('unknown'), { code: 'ENOTFOUND' })
}
const answers =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses
const strict = (resolve: Resolve = unknown) => ({ allows: isPublicAddress, resolve })

t.test('addresses of the public internet are allowed', async (t) => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.255.255',
    '172.32.0.1',
    '192.167.255.255',
    '223.255.255.254',
    '2606:4700:4700::1111',
    '2a00:1450:4001:82b::200e',
    '64:ff9b::8.8.8.8'
  ]) {
    t.ok(isPublicAddress(address), address)
    t.ok(isPublicOrPrivateAddress(address), `${address}, with private ones`)
    await t.resolves(checkTarget(inUrl(address), strict()), `${address} in a URL`)
  }
})

t.test('all others are refused, as addresses, in URLs and behind names', async (t) => {
  for (const [address, what] of Object.entries(UNSAFE_ADDRESSES)) {
    t.notOk(isPublicAddress(address), `${address}: ${what}`)
    await t.rejects(checkTarget(inUrl(address), strict()), ADDRESS, `${address} in a URL`)
    const rules = strict(answers(address))
    await t.rejects(checkTarget('https://hook.test/', rules), ADDRESS, `${address} behind a name`)
  }
  for (const text of ['', 'localhost', '1.2.3.4.5', 'fe80::1%eth0'])
    t.notOk(isPublicAddress(text), `"${text}" is no public address`)
})

t.test('other spellings of the same addresses are seen through', async (t) => {
  for (const url of UNSAFE_URLS) await t.rejects(checkTarget(url, strict()), ADDRESS, url)
})

t.test('only http and https, without user names and passwords', async (t) => {
  const rules = { allows: () => true, resolve: answers('8.8.8.8') }
  for (const url of MALFORMED_URLS) await t.rejects(checkTarget(url, rules), URL_ITSELF, url.slice(0, 60))
  for (const url of ['http://example.com', 'https://example.com:8443/a?b=c#d'])
    await t.resolves(checkTarget(url, rules), url)
})

t.test('a refusal quotes nothing of the URL', async (t) => {
  for (const url of ['http://127.0.0.1/?token=s3cret', 'ftp://example.com/s3cret', 'http://a:s3cret@b/']) {
    const error = (await checkTarget(url, strict()).catch((error) => error)) as TargetRefused
    t.type(error, TargetRefused)
    t.notMatch(`${error.message} ${error.stack}`, /s3cret/)
  }
})

t.test('one address that is not allowed spoils the rest', async (t) => {
  for (const addresses of [
    ['8.8.8.8', '10.0.0.1'],
    ['10.0.0.1', '8.8.8.8'],
    ['2606:4700::1', '::1']
  ])
    await t.rejects(
      checkTarget('https://hook.test/', strict(answers(...addresses))),
      ADDRESS,
      addresses.join()
    )
  await t.resolves(checkTarget('https://hook.test/', strict(answers('8.8.8.8', '2606:4700::1'))))
})

t.test('a name that nobody knows, or not in time, is accepted at creation', async (t) => {
  await t.resolves(checkTarget('https://hook.test/', strict(unknown)))
  await t.resolves(
    checkTarget(
      'https://hook.test/',
      strict(() => new Promise(() => {})),
      20
    )
  )
})

t.test('where private targets are allowed, link-local and special ones stay refused', async (t) => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '::1',
    'fd00::1'
  ])
    t.ok(isPublicOrPrivateAddress(address), address)
  for (const address of [
    '169.254.169.254',
    'fe80::1',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    '255.255.255.255',
    '::ffff:127.0.0.1'
  ])
    t.notOk(isPublicOrPrivateAddress(address), address)
  const rules = { allows: isPublicOrPrivateAddress, resolve: unknown }
  t.equal(parseTarget('http://localhost:8080/hook', rules).port, '8080')
  t.throws(() => parseTarget('http://169.254.169.254/', rules), ADDRESS)
})
