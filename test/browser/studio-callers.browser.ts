import type { Page } from 'playwright-core'
import t from 'tap'
import { createKeyStore } from '../../src/store/key-store.ts'
import { beyondRefusals, loaded, visit } from '../support/browser.ts'
import { startGateway, USER } from '../support/gateway.ts'

/** Everything that the browser keeps for the page, by where. */
const kept = (page: Page): Promise<{ local: string; tab: string; cookies: string }> =>
  page.evaluate(
    '({ local: JSON.stringify(localStorage), tab: JSON.stringify(sessionStorage), cookies: document.cookie })'
  )

t.test('a name keeps its creations apart from those of nobody, over a reload', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints } = await visit(t, `${await gateway.listen()}/studio`)
  const prompts = () => page.locator('#recent .card-prompt').allInnerTexts()
  const create = async (query: string) => {
    await page.getByLabel('What should be in the picture?').fill(query)
    await page.getByRole('button', { name: 'Create images' }).click()
    await page.locator('#recent .card', { hasText: query }).waitFor()
  }

  await create('a boat of nobody')
  await page.getByLabel('Name or API key').fill(USER)
  await page.keyboard.press('Tab')
  t.equal(await page.locator('#image-result img').count(), 0, "nobody's pictures are gone")
  await create('a boat with a name')
  t.strictSame(await prompts(), ['a boat with a name'])

  await page.reload()
  t.equal(await page.getByLabel('Name or API key').inputValue(), USER)
  await page.locator('#recent .card').first().waitFor()
  t.strictSame(await prompts(), ['a boat with a name'])

  await page.getByLabel('Name or API key').fill('')
  await page.keyboard.press('Tab')
  await page.locator('#recent .card', { hasText: 'nobody' }).waitFor()
  t.strictSame(await prompts(), ['a boat of nobody'])
  t.strictSame(complaints, [])
})

t.test('with AUTH_MODE=key', async (t) => {
  const gateway = await startGateway(t, {
    config: { AUTH_MODE: 'key', DEFAULT_LIMITS: 'images=1/h conversations=10/h videos=10/h' }
  })
  const keys = createKeyStore(gateway.app.store.database)
  const { key } = await keys.create('alice', Date.now(), null)
  const { key: bobs } = await keys.create('bob', Date.now(), null)
  const base = await gateway.listen()
  const { page, complaints, screenshot } = await visit(t, `${base}/studio`)
  const seen: string[] = []
  page.on('request', (request) => seen.push(request.url()))
  const keyField = page.getByLabel('API key', { exact: true })
  const nameField = page.getByLabel('User name')
  const send = async (prompt: string) => {
    await page.getByLabel('Message').fill(prompt)
    await page.keyboard.press('Enter')
  }

  t.match(await page.locator('#recent-empty').innerText(), /Put your API key/)
  await send('hello')
  await page.locator('#chat-log .error', { hasText: 'needs an API key' }).waitFor()
  t.equal(await keyField.getAttribute('aria-invalid'), 'true')
  await page.getByLabel('What should be in the picture?').fill('a boat')
  await page.getByRole('button', { name: 'Create images' }).click()
  await page.locator('#image-result .error', { hasText: 'Put your API key' }).waitFor()
  t.equal(await page.evaluate('document.activeElement.id'), 'credential')
  t.strictSame(
    seen.filter((url) => !url.endsWith('/health')),
    [],
    'nothing is asked for without a key'
  )

  await t.test('a wrong key', async (t) => {
    await keyField.fill(`bgw_${'A'.repeat(43)}`)
    t.equal(await keyField.getAttribute('aria-invalid'), null)
    await page.keyboard.press('Tab')
    await page.locator('#recent-trouble .error', { hasText: 'invalid_api_key' }).waitFor()
    t.equal(await keyField.getAttribute('aria-invalid'), 'true')
    t.match(await page.locator('#identity-problem').innerText(), /not valid/)
  })

  await t.test('a key, and the name that it was made for', async (t) => {
    await keyField.fill(key)
    await page.keyboard.press('Tab')
    await page.locator('#recent-empty', { hasText: 'Nothing here yet' }).waitFor()
    t.equal(await page.locator('#identity-problem').isVisible(), false)

    await page.getByLabel('Message').fill('hello')
    await page.getByLabel('Message').press('Enter')
    await page.locator('#chat-log .error', { hasText: 'user name' }).waitFor()
    t.equal(await nameField.getAttribute('aria-invalid'), 'true')

    await nameField.fill('bob')
    await page.getByLabel('Message').press('Enter')
    await page.locator('#chat-log .error', { hasText: 'not_key_owner' }).waitFor()
    t.equal(await nameField.getAttribute('aria-invalid'), 'true')
    t.equal(await keyField.getAttribute('aria-invalid'), null)

    await nameField.fill('alice')
    await send('How high is the harbour tower?')
    await page.locator('.bubble.bing:not(.typing)').waitFor()
  })

  await t.test('pictures, until the limit is reached', async (t) => {
    await page.getByLabel('What should be in the picture?').fill('a red boat')
    await page.getByRole('button', { name: 'Create images' }).click()
    const pictures = page.locator('#image-result img')
    await pictures.first().waitFor()
    t.strictSame(await loaded(pictures), Array(4).fill([1024, 1024]), 'without a key in their addresses')
    await screenshot('key')
    await page.getByRole('button', { name: 'Create images' }).click()
    const failure = page.locator('#image-result .error')
    await failure.waitFor()
    t.match(await failure.innerText(), /quota_exceeded/)
    t.match(await failure.locator('.error-when').innerText(), /^Try again in \d+ (minute|second)s?\b/)
    t.equal(await failure.getByRole('button').count(), 0)
  })

  await t.test('the key stays in this tab, and in no address', async (t) => {
    const { local, tab, cookies } = await kept(page)
    t.ok(tab.includes(key))
    t.notOk(local.includes('bgw_'))
    t.equal(cookies, '')
    t.strictSame(
      seen.filter((url) => url.includes('bgw_')),
      []
    )
    await page.reload()
    t.equal(await keyField.inputValue(), key)
    t.equal(await nameField.inputValue(), 'alice')
    await page.locator('#recent .card', { hasText: 'a red boat' }).waitFor()
    t.notOk((await page.content()).includes(key))
  })

  await t.test('nothing stays for the next one', async (t) => {
    await keyField.fill(bobs)
    await page.keyboard.press('Tab')
    await page.locator('#recent-empty', { hasText: 'Nothing here yet' }).waitFor()
    t.equal(await page.locator('#recent .card').count(), 0)
    await keyField.fill('')
    await page.keyboard.press('Tab')
    t.match(await page.locator('#recent-empty').innerText(), /Put your API key/)
    t.notOk((await kept(page)).tab.includes('bgw_'))
  })
  t.strictSame(beyondRefusals(complaints), [])
  t.notOk(gateway.log().includes(key))
})

t.test('a key where names do too', async (t) => {
  const gateway = await startGateway(t)
  const { key } = await createKeyStore(gateway.app.store.database).create(USER, Date.now(), null)
  const { page, complaints } = await visit(t, `${await gateway.listen()}/studio`)
  const field = page.getByLabel('Name or API key')
  t.equal(await page.getByLabel('User name').isVisible(), false)
  await field.pressSequentially(key.slice(0, 8))
  t.equal(await field.getAttribute('type'), 'password', 'it hides itself')
  await field.pressSequentially(key.slice(8))
  t.equal(await field.inputValue(), key)
  await page.getByLabel('User name').fill(USER)
  const [request] = await Promise.all([
    page.waitForRequest(/\/create_conversation$/),
    page.getByRole('button', { name: 'How high is Mount Fuji?' }).click()
  ])
  t.equal(request.headers().authorization, `Bearer ${key}`)
  await page.locator('.bubble.bing:not(.typing)').waitFor()
  t.notOk((await kept(page)).local.includes('bgw_'))

  await field.fill('alice')
  t.equal(await field.getAttribute('type'), 'text')
  t.equal(await page.getByLabel('User name').isVisible(), false)
  t.strictSame(complaints, [])
})

t.test('past conversations', async (t) => {
  const gateway = await startGateway(t)
  const headers = { 'x-user-id': USER }
  const elsewhere = await gateway.conversation()
  await gateway.post('/chatgpt', { ...elsewhere, prompt: 'What is a <b>fjord</b>?' }, headers)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  const history = page.locator('#history')
  const summary = history.locator('summary')
  const opener = (title: string) => history.getByRole('button', { name: new RegExp(`^${title}`) })
  const questions = page.locator('.bubble.me p')

  await summary.click()
  await history.getByText('Put a name from the whitelist').waitFor()
  await summary.click()
  await page.getByLabel('Name or API key').fill(USER)
  await page.getByLabel('Message').fill('My favourite colour is green.')
  await page.keyboard.press('Enter')
  await page.locator('.bubble.bing:not(.typing)').waitFor()

  await t.test('one that another client began can be read', async (t) => {
    await summary.click()
    await opener('What is a').click()
    await page.locator('#chat-closed').waitFor()
    t.match(await page.locator('#chat-closed').innerText(), /can only read this conversation: .*signature/)
    t.strictSame(await questions.allInnerTexts(), ['What is a <b>fjord</b>?'])
    t.equal(await page.locator('.bubble.bing .prose').count(), 1)
    t.equal(await page.getByLabel('Message').isVisible(), false)
    t.equal(await page.evaluate('document.activeElement.id'), 'chat-log')
    await screenshot('history', false)
  })

  await t.test('one that this tab began can be gone on with', async (t) => {
    await opener('My favourite').click()
    await page.getByLabel('Message').fill('What is my favourite colour?')
    await page.keyboard.press('Enter')
    await page.locator('.bubble.bing:not(.typing)').nth(1).waitFor()
    t.match(await page.locator('.bubble.bing').nth(1).innerText(), /green/)
    await history.getByText('2 turns').waitFor()
  })

  await t.test('until the page is loaded again', async (t) => {
    await page.reload()
    await page.locator('#history summary').click()
    await opener('My favourite').click()
    await page.locator('#chat-closed').waitFor()
    t.strictSame(await questions.allInnerTexts(), [
      'My favourite colour is green.',
      'What is my favourite colour?'
    ])
    await page.getByRole('button', { name: 'New conversation' }).click()
    t.equal(await page.getByLabel('Message').isVisible(), true)
    t.equal(await questions.count(), 0)
  })

  await t.test('deleting takes two presses', async (t) => {
    const item = history.locator('li', { hasText: 'What is a' })
    const remove = item.getByRole('button', { name: /elete: What is a/ })
    await remove.click()
    t.equal(await remove.innerText(), 'Really?')
    await page.keyboard.press('Tab')
    t.equal(await remove.innerText(), 'Delete')
    await remove.press('Enter')
    await remove.press('Enter')
    await item.waitFor({ state: 'detached' })
    t.equal((await gateway.get(`/conversations/${elsewhere.conversationId}`, headers)).status, 404)
    t.equal(await history.locator('li').count(), 1)
  })
  t.strictSame(complaints, [])
})
